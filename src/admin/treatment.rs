//! How a treatment looks: word, colour, and what stands out.

use maud::{Markup, html};

use crate::engine::catalog::Catalog;

/// What a value of this field is, treated like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// Personal data that passes in clear.
    ClearPersonal,
    /// A field without a class that passes.
    Unclassified,
    /// Something else in clear.
    Clear,
    /// Masked or generalised.
    Mask,
    /// A token or pseudonym.
    Token,
    /// Redacted, dropped, refused.
    Gone,
}

impl Look {
    /// The look of `treatment` on a field of `class`.
    pub(super) fn of(catalog: &Catalog, class: &str, treatment: &str) -> Self {
        match treatment.split(':').next().unwrap_or_default() {
            "drop" | "deny" | "redact" | "refused" => Self::Gone,
            _ if class == "unclassified" => Self::Unclassified,
            "mask" | "generalise" => Self::Mask,
            "tokenize" | "pseudonymise" | "tokens" => Self::Token,
            _ if catalog.vocabulary.is_personal(class) => Self::ClearPersonal,
            _ => Self::Clear,
        }
    }

    /// The end of its CSS classes `t-…` and `s-…`.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::ClearPersonal => "pii",
            Self::Unclassified => "open",
            Self::Clear => "clear",
            Self::Mask => "mask",
            Self::Token => "token",
            Self::Gone => "gone",
        }
    }

    /// In words, since colour alone tells too few.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::ClearPersonal => "personal data in clear",
            Self::Unclassified => "unclassified",
            Self::Clear => "clear",
            Self::Mask => "masked or generalised",
            Self::Token => "token",
            Self::Gone => "removed",
        }
    }

    /// Whether somebody should look at it.
    pub(super) fn is_alarming(self) -> bool {
        matches!(self, Self::ClearPersonal | Self::Unclassified)
    }
}

/// The class of `Contact.Email`; `None` = no such field in this set.
pub(super) fn class_of<'c>(catalog: &'c Catalog, name: &str) -> Option<&'c str> {
    let (object, field) = name.split_once('.')?;
    let id = catalog.object_by_name.get(&*object.to_ascii_lowercase())?;
    let object = catalog.get(*id);
    let index = object.field(field)?;
    object.fields.get(index as usize).map(|f| &*f.class)
}

/// A treatment word in its colour.
pub(super) fn word(look: Look, treatment: &str) -> Markup {
    html! {
        span class={ "t t-" (look.class()) } {
            (treatment)
            @if look.is_alarming() { " !" }
        }
    }
}

/// What the colours mean.
pub(super) fn legend() -> Markup {
    const ALL: [Look; 6] = [
        Look::ClearPersonal,
        Look::Unclassified,
        Look::Clear,
        Look::Mask,
        Look::Token,
        Look::Gone,
    ];
    html! {
        ul.legend aria-label="Colours" {
            @for look in ALL { li { (word(look, look.words())) } }
        }
    }
}
