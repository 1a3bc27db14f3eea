//! How many bytes come back when images go. Layers are shared from the bottom up, so the images of a host are
//! one tree of layers, and a layer's bytes come back with the last image above it.
//!
//! An engine tells only sums: the size of an image, which is that of its top layer and all below, and the size
//! of what it shares, which is that of the topmost layer under it that another image has too. That is enough to
//! know the tree's bytes between any two such layers. A fork that no sum is known of makes the count too high,
//! never too low, and then it says so.

use std::collections::HashMap;

use super::look::SweepLook;
use crate::model::ImageId;

/// What describes an image beside its layers takes a few kilobytes, and only graph drivers leave it out of
/// their sums.
const DESCRIPTION: u64 = 16 << 10;

pub(super) struct Disk {
    nodes: Vec<Node>,
    tops: HashMap<ImageId, usize>,
    /// What this engine says of sizes adds up.
    exact: bool,
    imprecise: bool,
}

/// A layer on all that lies below it. The first node is the empty ground.
struct Node {
    below: usize,
    images: usize,
    /// It and all below, where the engine told.
    sum: Option<u64>,
    /// Its bytes, with those of the layers below it of which no sum is known.
    bytes: u64,
    /// Some of these bytes belong to others too.
    too_high: bool,
}

impl Disk {
    pub(super) fn new(look: &SweepLook) -> Self {
        let ground = Node { below: 0, images: 0, sum: Some(0), bytes: 0, too_high: false };
        let adds_up = look.snapshot.engine.can.shared_sizes_add_up;
        let mut disk = Self { nodes: vec![ground], tops: HashMap::new(), exact: adds_up, imprecise: false };
        let mut known: HashMap<(usize, &str), usize> = HashMap::new();
        for image in &look.snapshot.images {
            let mut at = 0;
            if let Some(layers) = look.layers.get(&image.id) {
                for layer in layers {
                    at = *known.entry((at, layer)).or_insert_with(|| disk.put(at));
                    disk.nodes[at].images = disk.nodes[at].images.saturating_add(1);
                }
            } else {
                // An image that nobody looked into seems to share nothing, and does where the engine says so.
                disk.exact &= image.shared == Some(0);
                at = disk.put(0);
                disk.nodes[at].images = disk.nodes[at].images.saturating_add(1);
            }
            disk.tops.insert(image.id, at);
        }
        for image in &look.snapshot.images {
            disk.learn(image.id, image.size, image.shared);
        }
        disk.share_out();
        disk
    }

    fn put(&mut self, below: usize) -> usize {
        self.nodes.push(Node { below, images: 0, sum: None, bytes: 0, too_high: false });
        self.nodes.len().saturating_sub(1)
    }

    fn learn(&mut self, image: ImageId, size: u64, shared: Option<u64>) {
        let Some(&top) = self.tops.get(&image) else { return };
        if top == 0 {
            return;
        }
        self.nodes[top].sum = Some(self.nodes[top].sum.unwrap_or(0).max(size));
        let mut at = top;
        while at != 0 && self.nodes[at].images < 2 {
            at = self.nodes[at].below;
        }
        if let Some(shared) = shared.filter(|_| at != 0 && at != top) {
            self.nodes[at].sum.get_or_insert(shared);
        }
    }

    /// Nodes stand after those below them, so one pass knows all sums below each.
    fn share_out(&mut self) {
        for at in 1..self.nodes.len() {
            let Some(sum) = self.nodes[at].sum else { continue };
            let images = self.nodes[at].images;
            let mut below = self.nodes[at].below;
            let mut too_high = false;
            while self.nodes[below].sum.is_none() {
                too_high |= self.nodes[below].images > images;
                below = self.nodes[below].below;
            }
            let known = self.nodes[below].sum.unwrap_or(0);
            self.nodes[at].bytes = sum.saturating_sub(known);
            self.nodes[at].too_high = too_high;
        }
    }

    /// Takes an image away and says how many bytes come back.
    pub(super) fn take(&mut self, image: ImageId) -> u64 {
        let Some(mut at) = self.tops.remove(&image) else { return 0 };
        let mut bytes = 0;
        while at != 0 {
            let node = &mut self.nodes[at];
            node.images = node.images.saturating_sub(1);
            if node.images == 0 {
                bytes = node.bytes.saturating_add(bytes);
                self.imprecise |= node.too_high;
            }
            at = node.below;
        }
        if self.exact {
            return bytes;
        }
        self.imprecise = true;
        DESCRIPTION.saturating_add(bytes)
    }

    /// Whether what was taken so far is an upper bound.
    pub(super) fn is_imprecise(&self) -> bool {
        self.imprecise
    }
}
