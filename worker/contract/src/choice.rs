//! Choices that stand in resources and in work orders under the same names.

/// An enum whose first variant is the default, with the PascalCase names that
/// resources use.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $(#[$first_doc:meta])* $first:ident, $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name { $(#[$first_doc])* #[default] $first, $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// The PascalCase name used in resources.
            pub const fn as_str(self) -> &'static str {
                match self { $name::$first => stringify!($first), $($name::$variant => stringify!($variant),)* }
            }
        }
    };
}

pub(crate) use choice;
