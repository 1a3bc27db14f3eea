//! `-o` as buildx reads it: a folder, `-`, or comma-separated `key=value` with CSV's quotes.

use std::ffi::OsStr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// `local`, `tar`, `docker`, `image`, `registry`, `oci`, `cacheonly`, …; empty where none was named.
    pub kind: String,
    pub dest: Option<String>,
    /// What an image is called that is made this way, without `-t`.
    pub names: Vec<String>,
}

impl Output {
    /// An empty value is no output at all.
    pub(super) fn read(value: &OsStr) -> Option<Self> {
        let text = value.to_string_lossy();
        if text.is_empty() {
            return None;
        }
        let mut output = Self { kind: String::new(), dest: None, names: Vec::new() };
        let fields = csv(&text);
        if fields.len() == 1 && fields[0] == text && !text.starts_with("type=") {
            let kind = if text == "-" { "tar" } else { "local" };
            return Some(Self { kind: kind.to_owned(), dest: Some(text.into_owned()), ..output });
        }
        for (key, value) in fields.iter().filter_map(|field| field.split_once('=')) {
            match key.trim().to_ascii_lowercase().as_str() {
                "type" => value.clone_into(&mut output.kind),
                "dest" => output.dest = (!value.is_empty()).then(|| value.to_owned()),
                "name" => output.names = value.split(',').map(str::to_owned).collect(),
                _ => {}
            }
        }
        Some(output)
    }

    /// Files of the result instead of an image. buildx refuses an `--iidfile` next to these.
    pub fn is_files(&self) -> bool {
        matches!(self.kind.as_str(), "local" | "tar")
    }

    /// An image for an image store, not one in a file.
    pub fn is_image(&self) -> bool {
        matches!(self.kind.as_str(), "image" | "registry") || self.is_load()
    }

    /// What `--load` is short for.
    pub fn is_load(&self) -> bool {
        self.kind == "docker" && self.dest.is_none()
    }
}

/// One line of CSV. A quoted field may hold commas, and `""` for a quote.
fn csv(text: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(c),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_read_as_buildx_does() {
        for (text, kind, dest, names) in [
            ("out", "local", Some("out"), ""),
            ("-", "tar", Some("-"), ""),
            ("type=local,dest=out", "local", Some("out"), ""),
            ("type=docker", "docker", None, ""),
            ("type=docker,dest=-", "docker", Some("-"), ""),
            ("type=image,name=a:1,push=true", "image", None, "a:1"),
            ("type=image,\"name=a:1,b:2\"", "image", None, "a:1,b:2"),
            (" TYPE =oci,dest=a=b", "oci", Some("a=b"), ""),
            ("dest=x,push=true", "", Some("x"), ""),
        ] {
            let output = Output::read(OsStr::new(text)).expect(text);
            assert_eq!((output.kind.as_str(), output.dest.as_deref()), (kind, dest), "{text}");
            assert_eq!(output.names.join(","), names, "{text}");
        }
        assert_eq!(Output::read(OsStr::new("")), None);
    }
}
