//! What git wrote about a working directory, read without running git: a build should not wait for one more
//! program, and a machine that builds need not have it. What can't be read or understood is as if it were not there.

// Places within words that lie in memory.
#![allow(clippy::arithmetic_side_effects)]

use std::path::{Component, Path, PathBuf};

use crate::files;
use crate::plan::identity::Checkout;

/// Looks upwards from this folder for the worktree that it is in.
pub(crate) fn checkout(folder: &Path) -> Option<Checkout> {
    folder.ancestors().find_map(|root| {
        let dot_git = root.join(".git");
        if is_git_folder(&dot_git) {
            return Some(Checkout { root: root.to_owned(), main: root.to_owned(), origin: origin(&dot_git) });
        }
        if dot_git.is_file() {
            return linked(root, &dot_git);
        }
        // A bare repository: no worktree at all, but a name and a remote.
        is_git_folder(root).then(|| Checkout { root: root.to_owned(), main: main_of(root), origin: origin(root) })
    })
}

/// A `.git` file leads to the folder of a linked worktree, of a submodule, or of a repository that is kept apart.
/// Only the first knows of a common folder, and so of a main worktree elsewhere.
fn linked(root: &Path, dot_git: &Path) -> Option<Checkout> {
    let text = read(dot_git)?;
    let folder = normal(&root.join(text.strip_prefix("gitdir:")?.trim()));
    let common = read(&folder.join("commondir")).map(|text| normal(&folder.join(text.trim())));
    let main = common.as_deref().map_or_else(|| root.to_owned(), main_of);
    let folder = common.unwrap_or(folder);
    is_git_folder(&folder).then(|| Checkout { root: root.to_owned(), main, origin: origin(&folder) })
}

/// `shop/.git` and `shop/.bare` belong to `shop`; `shop.git` is its own.
fn main_of(common: &Path) -> PathBuf {
    let hidden = common.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    common.parent().filter(|_| hidden).unwrap_or(common).to_owned()
}

fn is_git_folder(folder: &Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

/// Takes `..` out of a path by its words, as git writes them.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

fn read(path: &Path) -> Option<String> {
    let bytes = files::read(path, files::SETTINGS).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn origin(folder: &Path) -> Option<String> {
    remote_url(&read(&folder.join("config"))?, "origin")
}

/// The first `url` of a remote in a git config: what git fetches from.
fn remote_url(config: &str, remote: &str) -> Option<String> {
    let mut here = false;
    let mut lines = config.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim().to_owned();
        if let Some(header) = line.strip_prefix('[') {
            let Some((header, rest)) = section(header) else { continue };
            here = header == ["remote", remote];
            line = rest.trim().to_owned();
        }
        // A line goes on where it ends in an odd number of backslashes.
        while line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            line.pop();
            line.push_str(lines.next().unwrap_or_default());
        }
        if let Some((key, raw)) = line.split_once('=').filter(|_| here)
            && key.trim().eq_ignore_ascii_case("url")
        {
            return Some(value(raw)).filter(|url| !url.is_empty());
        }
    }
    None
}

/// Takes `remote "origin"] rest` apart: the section's name in small letters, its subsection as it is, the rest.
fn section(text: &str) -> Option<([String; 2], &str)> {
    let (mut name, mut sub, mut quoted) = (String::new(), String::new(), false);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '\\' if quoted => sub.push(chars.next()?.1),
            c if quoted => sub.push(c),
            ']' => return Some(([name, sub], &text[at + 1..])),
            c if c.is_whitespace() => {}
            c => name.push(c.to_ascii_lowercase()),
        }
    }
    None
}

/// A value without its quotes, its escapes and the comment behind it.
fn value(raw: &str) -> String {
    let (mut text, mut quoted) = (String::new(), false);
    // Blanks at the end count only where they stand in quotes.
    let mut solid = 0;
    let mut chars = raw.trim_start().chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => quoted = !quoted,
            '#' | ';' if !quoted => break,
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
        if quoted || !c.is_whitespace() {
            solid = text.len();
        }
    }
    text.truncate(solid);
    text
}

#[cfg(test)]
mod tests;
