//! How settings are declared: once, with their documentation, as a struct.
//!
//! [`settings!`] makes from one declaration the documented struct, its reader, and the shape from
//! which the example file and the check for unknown keys are made. To add a setting: one line there.

use std::fmt;

/// The name of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyName {
    /// Its section; empty for the top level.
    pub section: &'static str,
    /// Its name in the section.
    pub name: &'static str,
}

/// Whether a setting has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has to be.
    Required,
    /// It has a default.
    Defaulted,
    /// It may be absent.
    Optional,
}

/// What a setting looks like.
#[derive(Clone, Copy, Debug)]
pub struct KeyShape {
    /// Its name.
    pub name: &'static str,
    /// Its documentation, line by line.
    pub doc: &'static [&'static str],
    /// Whether it has to be written.
    pub presence: Presence,
    /// Its default or an example, as TOML.
    pub shown: &'static str,
}

/// What a section looks like.
#[derive(Clone, Copy, Debug)]
pub struct SectionShape {
    /// Its name; empty for the top level.
    pub name: &'static str,
    /// Its documentation, line by line.
    pub doc: &'static [&'static str],
    /// Its settings.
    pub keys: &'static [KeyShape],
}

impl KeyName {
    /// The environment variable that sets it.
    #[must_use]
    pub fn variable(self) -> String {
        match self.section {
            "" => format!("ENTENTE_{}", self.name),
            section => format!("ENTENTE_{section}_{}", self.name),
        }
        .to_uppercase()
    }

    /// Its name with its section.
    #[must_use]
    pub fn full(self) -> String {
        match self.section {
            "" => self.name.to_owned(),
            section => format!("{section}.{}", self.name),
        }
    }
}

impl SectionShape {
    /// The full name of one of its settings.
    #[must_use]
    pub fn key(&self, name: &'static str) -> KeyName {
        let section = self.name;
        KeyName { section, name }
    }

    /// What the environment variables of its settings begin with.
    #[must_use]
    pub fn variable_prefix(&self) -> String {
        format!("ENTENTE_{}_", self.name.to_uppercase())
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Declares one section: `name: Type = required | default | optional "TOML"`.
macro_rules! settings {
    (
        $(#[doc = $doc:literal])+
        section $section:literal
        pub struct $type:ident {
            $($(#[doc = $key_doc:literal])+ $key:ident: $value:ty = $presence:ident $shown:literal,)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        pub struct $type {
            $($(#[doc = $key_doc])+ pub $key: settings!(@type $presence $value),)+
        }

        impl $type {
            /// What the section looks like.
            pub(crate) const SHAPE: $crate::config::declare::SectionShape =
                $crate::config::declare::SectionShape {
                    name: $section,
                    doc: &[$($doc),+],
                    keys: &[$($crate::config::declare::KeyShape {
                        name: stringify!($key),
                        doc: &[$($key_doc),+],
                        presence: settings!(@presence $presence),
                        shown: $shown,
                    }),+],
                };

            /// Reads the section; `None` once something in it is faulty, which the source has noted.
            pub(crate) fn read(source: &$crate::config::source::Source<'_>) -> Option<Self> {
                $(let $key = settings!(
                    @read $presence source Self::SHAPE.key(stringify!($key)), $shown
                );)+
                Some(Self { $($key: $key?,)+ })
            }
        }
    };
    (@type optional $value:ty) => { Option<$value> };
    (@type $presence:ident $value:ty) => { $value };
    (@presence required) => { $crate::config::declare::Presence::Required };
    (@presence default) => { $crate::config::declare::Presence::Defaulted };
    (@presence optional) => { $crate::config::declare::Presence::Optional };
    (@read required $source:ident $key:expr, $shown:literal) => { $source.required($key, $shown) };
    (@read default $source:ident $key:expr, $shown:literal) => { $source.value_or($key, $shown) };
    (@read optional $source:ident $key:expr, $shown:literal) => { Some($source.value($key)) };
}
pub(crate) use settings;
