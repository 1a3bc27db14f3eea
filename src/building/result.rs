//! What a build ended in: by docker's word, by BuildKit's memory, by its names, or by its stamp.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::before::{Before, Names};
use super::job::Job;
use super::target::Target;
use crate::app::App;
use crate::bookkeeping;
use crate::engine::{Buildx, Engine};
use crate::error::Result;
use crate::ledger::{Intent, TargetResult, read_iid, read_metadata};
use crate::model::{Books, ImageId, PastBuild, Stamp};
use crate::plan::argv::{Builder, IdFile};
use crate::plan::lost_result::remembered;
use crate::processes::child::SeenOutput;

/// How long BuildKit is asked what it remembers.
const TO_ASK: Duration = Duration::from_secs(8);

impl Job {
    /// What docker says that the targets of a bake have become.
    pub(super) fn made(&self) -> BTreeMap<String, TargetResult> {
        let own = self.own_file();
        let file = own.as_deref().or_else(|| self.written_by_docker()).filter(|_| self.is_bake());
        file.map(read_metadata).unwrap_or_default()
    }

    /// The image that docker built, by its own word where it gave one, else by the tags.
    pub(super) async fn result(
        &self,
        target: &Target,
        made: Option<&TargetResult>,
        seen: &SeenOutput,
        before: &Before,
        known: &Books,
    ) -> Result<Option<ImageId>> {
        let engine = &before.engine;
        let told = made.map(|made| made.ids.as_slice()).unwrap_or_default();
        if let Some(file) = self.own_file() {
            for id in read_iid(&file).iter().chain(told) {
                if before.has(*id).await? {
                    return Ok(Some(*id));
                }
            }
        }
        let said = match target.id_file(self.builder) {
            // The classic builder of docker 20.10 takes any output without a word, and makes an image all the same.
            IdFile::No(why) if !why.leaves_image() && !self.classic => return Ok(None),
            _ => self.written_by_docker().and_then(read_iid).or(seen.build.id),
        };
        // Where dkb does not know who wrote it, the image itself must say whose it is.
        for id in said.iter().chain(told) {
            if let Some(image) = engine.image(&id.to_string()).await?
                && self.stamp.is_part_of(&Stamp::of(&image.labels))
            {
                return Ok(Some(*id));
            }
        }
        let Some(tag) = target.words.tags.first() else { return Ok(None) };
        let Some(named) = engine.image(tag.as_str()).await? else { return Ok(None) };
        if self.stamp.is_part_of(&Stamp::of(&named.labels)) {
            let was_named = before.names.iter().flat_map(|names| &names.tags).any(|(_, id)| *id == named.id);
            return Ok(Some(named.id).filter(|id| !was_named || known.has(*id)));
        }
        // Another build has moved the tag since.
        let tags: Vec<_> = before.names.iter().flat_map(|names| names.tags.clone()).collect();
        bookkeeping::lost(engine, before.info.can, &target.intent, (before.began, &tags), known, None).await
    }

    /// What BuildKit remembers of builds since this one began, which failed; nothing has to be asked where no image can
    /// have come of it. `None` where it can't say.
    pub(super) async fn history(&self, app: &App, before: &Before) -> Result<Option<Vec<PastBuild>>> {
        if self.classic || self.builder != Builder::Engine {
            return Ok(None);
        }
        let mut may_have_come = false;
        for names in &before.names {
            may_have_come = may_have_come || names.gives.is_empty() || names.have_moved(&before.engine).await?;
        }
        if !may_have_come {
            return Ok(Some(Vec::new()));
        }
        let Ok(program) = app.program() else { return Ok(None) };
        let buildx = Buildx { docker: &program.path, flags: &app.flags().words };
        let past = buildx.past_builds(|began, _| began >= before.began);
        Ok(tokio::time::timeout(TO_ASK, past).await.ok().flatten())
    }
}

/// The targets of a build or a bake that docker did not end well. Any of them may have been done before, and so may an
/// image that docker could then not push, or not give all of its names.
pub(super) struct FailedBuilds {
    /// What BuildKit remembers; `None` where it can't say.
    history: Option<Vec<PastBuild>>,
    /// Which of these are known already.
    known: HashSet<String>,
    /// So many of those that are not noted can be this ledger's; what `bake` builds for its targets nobody can count.
    at_most: Option<usize>,
}

impl FailedBuilds {
    pub(super) fn new(history: Option<Vec<PastBuild>>, at_most: Option<usize>) -> Self {
        Self { history, known: HashSet::new(), at_most }
    }

    pub(super) async fn result(
        &mut self,
        target: &Target,
        intent: &Intent,
        before: &Before,
        names: &Names,
        books: &Books,
    ) -> Result<Option<ImageId>> {
        if let Some(id) = self.remembered(intent, before, books, false).await? {
            return Ok(Some(id));
        }
        // One of this session that goes on may be this one, and one that is not there may have been forgotten.
        let is_told = |past: &&PastBuild| past.ended.is_some() && past.steps.is_some();
        let ours: Vec<&PastBuild> = self.of_this(intent, before).collect();
        if !ours.is_empty() && ours.iter().all(is_told) {
            return Ok(None);
        }
        if target.name.is_none() && !names.have_moved(&before.engine).await? {
            return Ok(None);
        }
        let known = (before.began, &*names.tags);
        bookkeeping::lost(&before.engine, before.info.can, intent, known, books, None).await
    }

    /// Which of several builds at once is which nobody can say, but all of them are this session's. Those whose own dkb
    /// knows them are noted by that, too.
    pub(super) async fn another(&mut self, intent: &Intent, before: &Before, books: &Books) -> Result<Option<ImageId>> {
        self.remembered(intent, before, books, true).await
    }

    /// All since this build began that bear its stamp.
    fn of_this(&self, intent: &Intent, before: &Before) -> impl Iterator<Item = &PastBuild> {
        let (stamp, began) = (&intent.stamp, before.began);
        self.history.iter().flatten().filter(move |past| past.began >= began && past.stamp == *stamp)
    }

    async fn remembered(
        &mut self,
        intent: &Intent,
        before: &Before,
        books: &Books,
        new_alone: bool,
    ) -> Result<Option<ImageId>> {
        // Where one wrote nothing that may be this one, and what others wrote somebody else's, with a ledger of his own in
        // a session of this name.
        let is_open = |past: &&PastBuild| past.ended.is_some() && !past.wrote.iter().any(|id| books.has(*id));
        let open: Vec<&PastBuild> = self.of_this(intent, before).filter(is_open).collect();
        let one_is_empty = open.iter().any(|past| past.wrote.is_empty());
        if one_is_empty && self.at_most.is_some_and(|most| open.len() > most) {
            return Ok(None);
        }
        loop {
            let is_noted = |past: &PastBuild| past.wrote.iter().any(|id| books.has(*id));
            let are_left = |past: &&PastBuild| !(self.known.contains(&past.id) || new_alone && is_noted(past));
            let history = self.history.iter().flatten().filter(are_left);
            let Some(past) = remembered(history, &intent.stamp, &intent.tags, before.began, is_noted) else {
                return Ok(None);
            };
            let (id, wrote) = (past.id.clone(), past.wrote.clone());
            self.known.insert(id);
            // The whole of it was written last.
            for id in wrote.into_iter().rev() {
                if before.has(id).await? {
                    return Ok(Some(id));
                }
            }
        }
    }
}
