//! What the name and the label of a field say, in English, German, French, Spanish, Portuguese and Japanese.

use super::Holds;
use super::dictionary::fold;

/// Words of a label or API name, folded, and what they speak of. A word matches as a whole; several match in a row. The
/// first row that matches counts, so what is special stands before what is general.
const WORDS: &[(Holds, &[&str])] = &[
    (
        Holds::Company,
        &[
            "company name",
            "account name",
            "firma",
            "firmenname",
            "unternehmen",
            "entreprise",
            "societe",
            "empresa",
            "razon social",
            "company",
            "website",
            "webseite",
        ],
    ),
    (
        Holds::Email,
        &[
            "email",
            "e mail",
            "mail",
            "emailadresse",
            "courriel",
            "correo",
            "correo electronico",
            "correio eletronico",
        ],
    ),
    (
        Holds::Phone,
        &[
            "phone",
            "mobile",
            "mobilephone",
            "fax",
            "telephone",
            "cell",
            "telefon",
            "telefonnummer",
            "handy",
            "mobil",
            "mobilnummer",
            "portable",
            "movil",
            "telefono",
            "celular",
            "telefone",
            "telemovel",
        ],
    ),
    (
        Holds::BirthDate,
        &[
            "birthdate",
            "birth date",
            "birthday",
            "date of birth",
            "dob",
            "geburtsdatum",
            "geburtstag",
            "geboren",
            "date de naissance",
            "naissance",
            "fecha de nacimiento",
            "nacimiento",
            "data de nascimento",
            "nascimento",
        ],
    ),
    (
        Holds::NationalId,
        &[
            "ssn",
            "social security",
            "national id",
            "passport",
            "tax id",
            "steuer id",
            "steuernummer",
            "sozialversicherungsnummer",
            "ausweis",
            "ausweisnummer",
            "personalausweis",
            "reisepass",
            "numero de securite sociale",
            "securite sociale",
            "nir",
            "dni",
            "nie",
            "nif",
            "cpf",
            "pasaporte",
            "seguridad social",
            "passaporte",
            "insee",
        ],
    ),
    (
        Holds::BankAccount,
        &[
            "iban",
            "bank account",
            "account number",
            "bankverbindung",
            "kontonummer",
            "compte bancaire",
            "rib",
            "cuenta bancaria",
            "conta bancaria",
        ],
    ),
    (
        Holds::PaymentCard,
        &[
            "card number",
            "credit card",
            "kreditkarte",
            "kreditkartennummer",
            "carte bancaire",
            "carte de credit",
            "tarjeta",
            "tarjeta de credito",
            "cartao",
        ],
    ),
    (
        Holds::Pay,
        &[
            "salary",
            "wage",
            "income",
            "gehalt",
            "lohn",
            "einkommen",
            "salaire",
            "revenu",
            "salario",
            "sueldo",
            "ingresos",
            "renda",
        ],
    ),
    (
        Holds::Health,
        &[
            "health",
            "diagnosis",
            "medical",
            "disability",
            "allergy",
            "allergies",
            "gesundheit",
            "diagnose",
            "krankheit",
            "behinderung",
            "allergie",
            "sante",
            "diagnostic",
            "maladie",
            "handicap",
            "salud",
            "diagnostico",
            "enfermedad",
            "discapacidad",
            "saude",
            "doenca",
        ],
    ),
    (
        Holds::PersonName,
        &[
            "first name",
            "last name",
            "firstname",
            "lastname",
            "given name",
            "family name",
            "surname",
            "full name",
            "middle name",
            "maiden name",
            "vorname",
            "nachname",
            "familienname",
            "geburtsname",
            "prenom",
            "nom de famille",
            "nombre",
            "apellido",
            "apellidos",
            "sobrenome",
            "nome",
        ],
    ),
    (
        Holds::PostalCode,
        &[
            "postal code",
            "postalcode",
            "zip",
            "zip code",
            "zipcode",
            "postcode",
            "plz",
            "postleitzahl",
            "code postal",
            "codigo postal",
            "cep",
        ],
    ),
    (
        Holds::Street,
        &[
            "street",
            "address",
            "strasse",
            "anschrift",
            "adresse",
            "rue",
            "direccion",
            "calle",
            "endereco",
            "rua",
        ],
    ),
    (
        Holds::Place,
        &[
            "city",
            "town",
            "stadt",
            "ort",
            "wohnort",
            "ville",
            "ciudad",
            "cidade",
            "country",
            "land",
            "pays",
            "pais",
            "country code",
        ],
    ),
    (
        Holds::Coordinate,
        &[
            "latitude",
            "longitude",
            "geolocation",
            "breitengrad",
            "langengrad",
        ],
    ),
    (
        Holds::PersonNumber,
        &[
            "customer number",
            "loyalty number",
            "member number",
            "kundennummer",
            "mitgliedsnummer",
            "numero client",
            "numero de cliente",
            "numero do cliente",
        ],
    ),
    (
        Holds::FreeText,
        &[
            "description",
            "comment",
            "comments",
            "notes",
            "note",
            "remarks",
            "beschreibung",
            "bemerkung",
            "notiz",
            "notizen",
            "kommentar",
            "commentaire",
            "remarque",
            "descripcion",
            "comentario",
            "comentarios",
            "notas",
            "observacoes",
            "descricao",
        ],
    ),
];

/// The same in Japanese, which has no spaces: parts of a label.
const PARTS: &[(Holds, &[&str])] = &[
    (Holds::Company, &["会社名", "取引先名", "法人名"]),
    (Holds::Email, &["メール"]),
    (Holds::Phone, &["電話", "携帯", "ファックス"]),
    (Holds::BirthDate, &["生年月日", "誕生日"]),
    (
        Holds::NationalId,
        &["マイナンバー", "個人番号", "旅券", "パスポート", "免許証"],
    ),
    (Holds::BankAccount, &["口座"]),
    (Holds::PaymentCard, &["カード番号"]),
    (Holds::Pay, &["給与", "年収", "給料"]),
    (
        Holds::Health,
        &["健康", "病歴", "診断", "障害", "アレルギー"],
    ),
    (
        Holds::PersonName,
        &["氏名", "名前", "姓", "名（", "お名前", "フリガナ"],
    ),
    (Holds::PostalCode, &["郵便番号"]),
    (Holds::Street, &["住所", "番地"]),
    (Holds::Place, &["市区町村", "都道府県", "国名"]),
    (Holds::FreeText, &["備考", "説明", "コメント", "メモ"]),
];

/// What `name` (an API name or a label) speaks of.
pub(super) fn speaks_of(name: &str) -> Option<Holds> {
    let name = name.strip_suffix("__c").unwrap_or(name);
    // `MailingPostalCode` → `mailing postal code`.
    let mut spaced = String::with_capacity(name.len() + 8);
    let mut lower = false;
    for c in name.chars() {
        if lower && c.is_uppercase() {
            spaced.push(' ');
        }
        lower = c.is_lowercase();
        spaced.push(if c.is_alphanumeric() { c } else { ' ' });
    }
    let folded = fold(&spaced);
    let words: Vec<&str> = folded.split_whitespace().collect();
    let line = format!(" {} ", words.join(" "));
    let matching = |(_, known): &&(Holds, &[&str])| {
        known.iter().any(|word| line.contains(&format!(" {word} ")))
    };
    let parts = |(_, known): &&(Holds, &[&str])| known.iter().any(|part| name.contains(part));
    let found = WORDS
        .iter()
        .find(matching)
        .or_else(|| PARTS.iter().find(parts));
    found.map(|(holds, _)| *holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_speak_six_languages() {
        for (name, wanted) in [
            ("MailingPostalCode", Holds::PostalCode),
            ("Home_Phone__c", Holds::Phone),
            ("Straße", Holds::Street),
            ("Geburtsdatum__c", Holds::BirthDate),
            ("Numéro de sécurité sociale", Holds::NationalId),
            ("Teléfono móvil", Holds::Phone),
            ("Endereço", Holds::Street),
            ("お客様の生年月日", Holds::BirthDate),
            ("LastName", Holds::PersonName),
            ("Company", Holds::Company),
        ] {
            assert_eq!(speaks_of(name), Some(wanted), "{name}");
        }
        for name in ["xf_17__c", "Feld 12", "StageName", "Mailand", "Stadtwerke"] {
            assert_eq!(speaks_of(name), None, "{name}");
        }
    }
}
