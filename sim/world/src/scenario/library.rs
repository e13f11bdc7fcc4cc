//! The scenarios that come with klab, embedded: what `klab list` shows and what `base` may name.

/// One scenario of the library.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// What the command line and `base` call it.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! library {
    ($($name:literal,)*) => {
        /// All of them, the first one first.
        pub const ALL: &[Entry] = &[$(Entry {
            name: $name,
            text: include_str!(concat!("../../../../scenarios/", $name, ".jsonc")),
        },)*];
    };
}

library! {
    "quickstart",
}

/// The text of a scenario of the library.
pub fn find(name: &str) -> Option<String> {
    let name = name.strip_suffix(".jsonc").unwrap_or(name);
    ALL.iter()
        .find(|entry| entry.name == name)
        .map(|entry| entry.text.to_owned())
}
