//! Values of settings: the same types from TOML and from the environment.
//!
//! To add a type: implement [`Value`], or [`text_value!`] when it parses from a text.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use entente_identity::Domain;
use toml::de::DeValue;

/// A type that a setting can have.
pub trait Value: Sized {
    /// Reads it from a TOML value.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String>;

    /// Reads it from an environment variable.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    fn from_environment(text: &str) -> Result<Self, String>;
}

/// The string in a TOML value.
pub(crate) fn toml_text<'a>(value: &'a DeValue<'_>) -> Result<&'a str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("expected a string, found {}", value.type_str()))
}

/// Implements [`Value`] for types that parse from a text with an error for people.
macro_rules! text_value {
    ($($type:ty),+ $(,)?) => {$(
        impl $crate::config::value::Value for $type {
            fn from_toml(value: &toml::de::DeValue<'_>) -> Result<Self, String> {
                Self::from_environment($crate::config::value::toml_text(value)?)
            }

            fn from_environment(text: &str) -> Result<Self, String> {
                text.parse().map_err(|fault| format!("`{text}`: {fault}"))
            }
        }
    )+};
}
pub(crate) use text_value;

text_value!(Domain, SocketAddr);

impl Value for PathBuf {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        Self::from_environment(toml_text(value)?)
    }

    fn from_environment(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("expected a path, found none".to_owned());
        }
        Ok(Self::from(text))
    }
}

impl Value for String {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        toml_text(value).map(str::to_owned)
    }

    fn from_environment(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Value for u16 {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let integer = value
            .as_integer()
            .ok_or_else(|| format!("expected an integer, found {}", value.type_str()))?;
        Self::from_str_radix(integer.as_str(), integer.radix())
            .map_err(|_| format!("{} is not from 0 to {}", integer.as_str(), Self::MAX))
    }

    fn from_environment(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|_| format!("`{text}` is not from 0 to {}", Self::MAX))
    }
}

impl Value for NonZeroU32 {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let integer = value
            .as_integer()
            .ok_or_else(|| format!("expected an integer, found {}", value.type_str()))?;
        u32::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| format!("{} is not from 1 to {}", integer.as_str(), u32::MAX))
    }

    fn from_environment(text: &str) -> Result<Self, String> {
        Self::from_str(text).map_err(|_| format!("`{text}` is not from 1 to {}", u32::MAX))
    }
}

/// A list: an array in TOML, separated by commas in the environment.
impl<T: Value> Value for Vec<T> {
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let array = value
            .as_array()
            .ok_or_else(|| format!("expected an array, found {}", value.type_str()))?;
        array
            .iter()
            .map(|element| T::from_toml(element.get_ref()))
            .collect()
    }

    fn from_environment(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|element| !element.is_empty())
            .map(T::from_environment)
            .collect()
    }
}

/// Declares an enum whose variants have one name each in the configuration.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])+
        pub enum $type:ident {
            $($(#[doc = $variant_doc:literal])+ $variant:ident = $name:literal,)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl std::str::FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(format!("expected one of {}", [$($name),+].join(", "))),
                }
            }
        }

        $crate::config::value::text_value!($type);
    };
}
pub(crate) use choice;
