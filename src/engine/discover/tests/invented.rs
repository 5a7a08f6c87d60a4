//! Invented organisations of five locales, with what each field holds. Names are common and rare ones mixed, most of
//! them drawn from lists other than the detectors'; no field has a type or name that would give it away.

use serde_json::{Value, json};

/// SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn pick<'a>(&mut self, words: &'a str) -> &'a str {
        let all: Vec<&str> = words.split('|').collect();
        all[self.below(all.len())]
    }

    /// `9` a digit, `X` a capital letter, `1` a digit but zero; all else as it is.
    fn spell(&mut self, form: &str) -> String {
        form.chars()
            .map(|c| match c {
                '9' => char::from(b'0' + self.below(10) as u8),
                '1' => char::from(b'1' + self.below(9) as u8),
                'X' => char::from(b'A' + self.below(26) as u8),
                c => c,
            })
            .collect()
    }

    fn day(&mut self, from: i32, years: usize) -> String {
        format!(
            "{}-{:02}-{:02}",
            from + self.below(years) as i32,
            1 + self.below(12),
            1 + self.below(28)
        )
    }
}

pub(super) struct Locale {
    pub(super) code: &'static str,
    given: &'static str,
    family: &'static str,
    cities: &'static str,
    streets: &'static str,
    postal: &'static str,
    phone: &'static str,
    firms: &'static str,
    legal: &'static str,
    health: &'static str,
    notes: &'static str,
    products: &'static str,
    stages: &'static str,
    /// Family name first, without a space.
    joined: bool,
}

pub(super) const LOCALES: &[Locale] = &[
    Locale {
        code: "en",
        given: "James|Olivia|Emma|Noah|Marlowe|Beckett|Grace|Daniel|Sarah|Imogen|Tyrone|Keisha|Rowan|Emily|Jack|Delphine|Harold|Ruth|Xander|Priscilla",
        family: "Smith|Johnson|Ashcombe|Threlfall|Miller|Davis|Oyelaran|Whitaker|Hathaway|Murphy|Taylor|Quigley|Pemberton|Wilson|Ellis|Nakamoto|Vance|Lovell|Clark|Harris",
        cities: "Chicago|Houston|Boston|Denver|Leeds|Bristol|Maidenhead|Truro|Seattle|Dallas|Boise|Ypsilanti",
        streets: "# Main St|# Elm Avenue|# Church Road|# Oak Lane Apt 3|# Mill Court|# Fairview Dr",
        postal: "19999",
        phone: "(212) 555-9999|+1 415 555 9999|212-555-9999",
        firms: "Blue Ridge|Acme Rocket|Northwind|Contoso|Lone Pine|Brightwater|Copperfield|Tidal",
        legal: "Inc.|LLC|Ltd|Corp.|Group",
        health: "Type 2 diabetes|Asthma|Migraine|Hypertension|Depression|Wheelchair user|Peanut allergy|none known",
        notes: "Spoke with @ about the renewal and will call back next week.|Met @ at the fair, wants a quote before Friday, please be careful.|@ asked us to delete the old address from the system.",
        products: "Trail Lamp|Desk Pro 200|Cloud Suite|Office Chair|Pump X4|Cable Kit|Solar Panel|Router Mini|Ladder|Drill Press",
        stages: "Prospecting|Qualification|Proposal|Negotiation|Closed Won|Closed Lost",
        joined: false,
    },
    Locale {
        code: "de",
        given: "Jürgen|Käthe|Lukas|Sabine|Thorben|Wiebke|Matthias|Gisela|Anke|Sönke|Stefan|Monika|Hedwig|Lena|Jonas|Ottilie|Kai|Ruprecht|Petra|Uwe",
        family: "Müller|Schmidt|Krämer|Hoffmann|Dreyling|Pfannenstiel|Weber|Schulz|Wohlfahrt|Bauer|Klein|Neumann|Knopff|Zimmermann|Vogel|Siebenhaar|Böhm|Lindner|Achterberg|Kuhn",
        cities: "Berlin|München|Köln|Hamburg|Leipzig|Bremen|Wanne-Eickel|Buxtehude|Stuttgart|Dresden|Fulda|Kiel",
        streets: "Hauptstraße #|Goethestr. #|Bahnhofstraße #|Am Alten Weg #|Lindenallee #|Marktplatz #",
        postal: "19999",
        phone: "+49 30 1999999|030 1999999|0171 1999999",
        firms: "Nordlicht|Blauwal|Süddruck|Grünfeld|Märkische Energie|Falkenhof|Rheinstahl|Hansekontor",
        legal: "GmbH|AG|GmbH & Co. KG|KG",
        health: "Diabetes Typ 2|Asthma bronchiale|Migräne|Bluthochdruck (Hypertonie)|Depression|Rollstuhlfahrer|Nussallergie|keine bekannt",
        notes: "Mit @ über die Verlängerung gesprochen, Rückruf nächste Woche.|@ auf der Messe getroffen und möchte bis Freitag ein Angebot haben.|@ bittet darum, die alte Anschrift zu löschen.",
        products: "Stirnlampe|Tischplatte 200|Bürostuhl|Pumpe X4|Kabelsatz|Solarmodul|Werkbank|Leiter|Schraubenset M8|Bohrmaschine",
        stages: "Anfrage|Qualifiziert|Angebot|Verhandlung|Gewonnen|Verloren",
        joined: false,
    },
    Locale {
        code: "fr",
        given: "François|Zoé|Élodie|Jérôme|Capucine|Gaspard|Camille|Thierry|Solène|Yannick|Julien|Nathalie|Aurélie|Philippe|Ombeline|Lucas|Manon|Tanguy|Benoît|Hélène",
        family: "Lefèvre|Dubois|Moreau|Vasseur|Quéméneur|Bernard|Petit|Rousseau|Lachenal|Delacourt|Girard|Fontaine|Bonnet|Le Goff|Mercier|Poirier|Chevalier|Roux|Vaillant|Durand",
        cities: "Paris|Lyon|Lille|Nantes|Bordeaux|Besançon|Saint-Étienne|Quimper|Toulouse|Rennes|Vesoul|Dijon",
        streets: "# rue de la Fontaine|# allée des Érables|# bd de l'Hôpital|# avenue Foch|# impasse du Moulin|# place Bellecour",
        postal: "69999",
        phone: "+33 1 99 99 99 99|01 99 99 99 99|06 99 99 99 99",
        firms: "Lumière|Atelier Hélène|Côte & Mer|Transports Gérard|Brise|Vallon|Les Trois Ponts|Nova",
        legal: "SA|SARL|SAS",
        health: "Diabète de type 2|Asthme allergique|Migraine|Hypertension|Dépression|Fauteuil roulant|Allergie aux noix|aucune",
        notes: "Parlé avec @ du renouvellement, à rappeler la semaine prochaine.|Rencontré @ au salon, souhaite un devis avant vendredi.|@ demande la suppression de son ancienne adresse.",
        products: "Lampe frontale|Plateau 200|Fauteuil pivotant|Pompe X4|Câblage|Panneau solaire|Établi|Échelle|Visserie M8|Perceuse",
        stages: "Prospection|Qualification|Proposition|Négociation|Gagnée|Perdue",
        joined: false,
    },
    Locale {
        code: "es",
        given: "José María|Begoña|Íñigo|Lucía|Andrés|Ángela|Iratxe|Fermín|Carlos|Ana|Nerea|Joaquín|Xoán|Beatriz|Thiago|Mariana|Leopoldo|Paula|Miguel|Consuelo",
        family: "Núñez|García Márquez|Ibáñez|Muñoz|Etxeberria|Zubizarreta|Fernández|López|Silva|Oliveira|Pereira|Torres|Anguita|Belmonte|Gómez|Romero|Cifuentes|Vega|Sáez|Castro",
        cities: "Madrid|Barcelona|Sevilla|Málaga|A Coruña|Lisboa|São Paulo|Cuenca|Bilbao|Valencia|Teruel|Porto",
        streets: "Calle Mayor #|Avda. de España #|Plaza del Ángel #|Paseo de Gracia #|Rua Augusta #|Camino Real #",
        postal: "29999",
        phone: "+34 919 999 999|912 999 999|612 999 999",
        firms: "Aceites Doña Luz|Montaña Azul|Levante|Cantábrica|Ribera Alta|Bodegas Sol|Piedra Viva|Faro",
        legal: "S.A.|S.L.|Ltda.",
        health: "Diabetes tipo 2|Asma|Migraña|Hipertensión|Depresión|Silla de ruedas|Alergia a los frutos secos|ninguna",
        notes: "Hablé con @ de la renovación y le llamaré la próxima semana.|Conocí a @ en la feria, quiere un presupuesto antes del viernes.|@ pide que borremos su dirección antigua del sistema.",
        products: "Linterna frontal|Tablero 200|Silla giratoria|Bomba X4|Cableado|Panel solar|Banco de trabajo|Escalera|Tornillos M8|Taladro",
        stages: "Prospecto|Calificado|Propuesta|Negociación|Ganada|Perdida",
        joined: false,
    },
    Locale {
        code: "ja",
        given: "美咲|翔太|さくら|健一|ユミ|直樹|陽菜|蓮|花子|大輔|千尋|剛|恵子|悠真|歩夢|志保|和彦|めぐみ|修|明日香",
        family: "佐藤|鈴木|高橋|渡邉|山本|勅使河原|小鳥遊|中村|小林|五十嵐|加藤|吉田|佐々木|松本|井上|百目鬼|清水|山崎|森|橋本",
        cities: "東京都千代田区|大阪市北区|横浜市|名古屋市中区|札幌市|福岡市|京都市左京区|神戸市|仙台市|奈良市",
        streets: "丸の内#丁目1-1|梅田#丁目5番|本町#丁目2番3号|青葉台#-4-2 第一番館|栄#丁目10番",
        postal: "199-9999",
        phone: "03-1999-9999|090-1999-9999|+81 3 1999 9999",
        firms: "桜電機|青空物流|山海|ひかり|北斗|みらい技研|大和食品|光洋",
        legal: "株式会社|合同会社|有限会社",
        health: "2型糖尿病|気管支喘息|片頭痛|高血圧|うつ病|車椅子使用、関節炎|ナッツアレルギー|なし",
        notes: "@様と契約更新について電話で話し、来週もう一度連絡する予定です。|展示会で@様にお会いし、金曜日までに見積書を送る約束をしました。|@様から以前のご住所を削除してほしいとの依頼がありました。",
        products: "ヘッドランプ|デスク天板200|オフィスチェア|ポンプX4|ケーブルキット|ソーラーパネル|作業台|はしご|ねじセットM8|ドリル",
        stages: "見込み|評価中|提案|交渉|受注|失注",
        joined: true,
    },
];

fn luhn(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, b)| {
            let d = u32::from(b - b'0') * (2 - i as u32 % 2);
            d / 10 + d % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn iban(country: &str, account: &str) -> String {
    let rest = format!("{account}{country}00");
    let remainder = rest.chars().fold(0_u64, |r, c| {
        let n = u64::from(c.to_digit(36).unwrap());
        if n > 9 {
            (r * 100 + n) % 97
        } else {
            (r * 10 + n) % 97
        }
    });
    format!("{country}{:02}{account}", 98 - remainder)
}

fn national(dice: &mut Dice, code: &str) -> String {
    match code {
        "en" => dice.spell("219-49-1199"),
        "de" => {
            // ISO 7064 MOD 11,10 over ten digits of which one comes twice.
            let mut digits: Vec<u32> = vec![1, 2, 3, 4, 5, 6, 7, 8, 9];
            for i in (1..9).rev() {
                digits.swap(i, dice.below(i + 1));
            }
            let at = 1 + dice.below(8);
            digits.push(digits[at]);
            let product = digits.iter().fold(10, |p, d| {
                let sum = match (p + d) % 10 {
                    0 => 10,
                    s => s,
                };
                sum * 2 % 11
            });
            digits.push((11 - product) % 10);
            digits.iter().map(|d| char::from(b'0' + *d as u8)).collect()
        }
        "fr" => {
            let body = format!(
                "{}{}{:02}{}",
                1 + dice.below(2),
                dice.spell("99"),
                1 + dice.below(12),
                dice.spell("75199999")
            );
            let body = &body[..13];
            let n: u64 = body.parse().unwrap();
            format!("{body}{:02}", 97 - n % 97)
        }
        "es" => {
            let n: usize = dice.spell("19999999").parse().unwrap();
            let letter = b"TRWAGMYFPDXBNJZSQVHLCKE"[n % 23];
            format!("{n}{}", char::from(letter))
        }
        _ => {
            let body = dice.spell("19999999999");
            let sum: u32 = body
                .bytes()
                .rev()
                .zip([2, 3, 4, 5, 6, 7, 2, 3, 4, 5, 6])
                .map(|(b, w)| u32::from(b - b'0') * w)
                .sum();
            format!("{body}{}", if sum % 11 < 2 { 0 } else { 11 - sum % 11 })
        }
    }
}

/// A field: what it truly holds (`-` = no personal data), its type, and its values.
pub(super) struct Column {
    pub(super) truth: &'static str,
    pub(super) type_word: &'static str,
    pub(super) values: Vec<Value>,
}

/// The objects of one organisation, each a list of columns.
pub(super) fn organisation(seed: u64, l: &Locale) -> Vec<Vec<Column>> {
    let dice = &mut Dice(seed);
    let rows = 120 + dice.below(200);
    let mut column =
        |truth, type_word, filled: usize, make: &mut dyn FnMut(&mut Dice, usize) -> Value| {
            let values = (0..rows).map(|i| {
                if dice.below(100) < filled {
                    make(dice, i)
                } else {
                    Value::Null
                }
            });
            Column {
                truth,
                type_word,
                values: values.collect(),
            }
        };
    let name = |d: &mut Dice| {
        let (given, family) = (d.pick(l.given), d.pick(l.family));
        if l.joined {
            format!("{family} {given}")
        } else {
            format!("{given} {family}")
        }
    };
    let street = |d: &mut Dice| {
        let number = (1 + d.below(150)).to_string();
        d.pick(l.streets).replace('#', &number)
    };
    let firm = |d: &mut Dice| {
        let (word, legal) = (d.pick(l.firms), d.pick(l.legal));
        if l.joined {
            format!("{word}{legal}")
        } else {
            format!("{word} {legal}")
        }
    };
    let phone = |d: &mut Dice| {
        let form = d.pick(l.phone).to_owned();
        // Codes are no wildcards.
        let (head, tail) = form.split_at(form.find("99").unwrap_or(0).max(4).min(form.len()));
        let tail = d.spell(tail);
        format!("{head}{tail}")
    };
    let note = |d: &mut Dice| {
        let who = name(d);
        d.pick(l.notes).replace('@', &who)
    };
    let people = vec![
        column("pii.name", "string", 100, &mut |d, _| {
            json!(d.pick(l.given))
        }),
        column("pii.name", "string", 100, &mut |d, _| {
            json!(d.pick(l.family))
        }),
        column("pii.name", "string", 90, &mut |d, _| json!(name(d))),
        column("pii.email", "string", 95, &mut |d, i| {
            json!(format!(
                "p{i}.{}@{}.example",
                d.below(999),
                d.spell("XXXXX").to_lowercase()
            ))
        }),
        column("pii.phone", "string", 80, &mut |d, _| json!(phone(d))),
        column("pii.address", "string", 85, &mut |d, _| json!(street(d))),
        column("pii.address.city", "string", 90, &mut |d, _| {
            json!(d.pick(l.cities))
        }),
        column("pii.address", "string", 90, &mut |d, _| {
            json!(d.spell(l.postal))
        }),
        column("pii.birthdate", "date", 70, &mut |d, _| {
            json!(d.day(1940, 64))
        }),
        column("pii.national_id", "string", 60, &mut |d, _| {
            json!(national(d, l.code))
        }),
        column("pii.bank_account", "string", 50, &mut |d, _| {
            json!(iban("DE", &d.spell("199999999999999999")))
        }),
        column("pii.payment_card", "string", 40, &mut |d, _| {
            json!(luhn(
                &d.spell("41999999999999")
                    .chars()
                    .chain("7".chars())
                    .collect::<String>()
            ))
        }),
        column("pii.salary", "currency", 75, &mut |d, _| {
            json!(if l.joined {
                3_000_000 + d.below(6_000_000)
            } else {
                24_000 + d.below(90_000)
            })
        }),
        column("pii.customer_number", "string", 100, &mut |_, i| {
            json!(format!("K-{:06}", 100_000 + i * 7))
        }),
        column("sensitive.health", "picklist", 30, &mut |d, _| {
            json!(d.pick(l.health))
        }),
        column("sensitive.health", "string", 30, &mut |d, _| {
            json!(d.pick("E11.9|J45.0|G43.1|I10|F32.1|M54.5|K21.9|N18.3"))
        }),
        column("freetext", "textarea", 40, &mut |d, _| json!(note(d))),
        column("-", "date", 100, &mut |d, _| json!(d.day(2019, 8))),
        column("-", "picklist", 90, &mut |d, _| json!(d.pick("A|B|C|D"))),
        column("-", "string", 100, &mut |d, _| {
            json!(d.pick("Web|Fair|Partner|Import"))
        }),
        column("-", "double", 100, &mut |d, _| json!(d.below(100))),
        column("-", "boolean", 100, &mut |d, _| json!(d.below(2) == 0)),
    ];
    let firms = vec![
        column("-", "string", 100, &mut |d, _| json!(firm(d))),
        column("-", "string", 95, &mut |d, _| json!(street(d))),
        column("-", "string", 95, &mut |d, _| json!(d.pick(l.cities))),
        column("-", "string", 95, &mut |d, _| json!(d.spell(l.postal))),
        column("-", "string", 80, &mut |d, _| json!(phone(d))),
        column("-", "date", 80, &mut |d, _| json!(d.day(1950, 70))),
        column("-", "currency", 80, &mut |d, _| {
            json!(10_000 * (1 + d.below(9_000)))
        }),
        column("-", "int", 80, &mut |d, _| json!(1 + d.below(5_000))),
        column("-", "string", 100, &mut |_, i| {
            json!(format!("{:05}", 10_000 + i))
        }),
        column("-", "string", 80, &mut |d, _| {
            json!(format!(
                "https://www.{}.example",
                d.spell("XXXXXX").to_lowercase()
            ))
        }),
        column("-", "picklist", 90, &mut |d, _| {
            json!(d.pick("Energy|Retail|Finance|Health|Public"))
        }),
    ];
    let orders = vec![
        column("-", "string", 100, &mut |_, i| {
            json!(format!("{:010}", 4_500_000 + i))
        }),
        column("-", "string", 100, &mut |d, _| {
            json!(d.spell("SKU-9999-XX"))
        }),
        column("-", "string", 100, &mut |d, _| json!(d.pick(l.products))),
        column("-", "picklist", 100, &mut |d, _| json!(d.pick(l.stages))),
        column("-", "string", 100, &mut |d, _| json!(d.pick(l.stages))),
        column("-", "currency", 100, &mut |d, _| {
            json!((1 + d.below(400_000)) as f64 / 4.0)
        }),
        column("-", "percent", 100, &mut |d, _| {
            json!(d.below(40) as f64 / 2.0)
        }),
        column("-", "date", 100, &mut |d, _| json!(d.day(2021, 7))),
        column("-", "datetime", 100, &mut |d, _| {
            json!(format!("{}T08:30:00.000+0000", d.day(2021, 5)))
        }),
        column("-", "string", 60, &mut |d, _| json!(d.spell("4500999999"))),
        column("-", "string", 60, &mut |d, _| {
            json!(d.spell("9999999999999999").replace('8', "3"))
        }),
        column("freetext", "string", 50, &mut |d, _| json!(note(d))),
        column("-", "string", 90, &mut |d, _| {
            json!(d.pick("EUR|USD|JPY|GBP"))
        }),
        column("-", "int", 100, &mut |d, _| json!(1 + d.below(12))),
    ];
    vec![people, firms, orders]
}
