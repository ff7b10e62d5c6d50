//! Countries, as letterheads show them: a company's legal form, its streets and post codes, its telephone and its bank
//! account belong to one.
//!
//! Post codes and area codes are those that a town really has, from public directories; what is drawn behind them is
//! nobody's on purpose.

use crate::{Persona, Rng};

/// A country. In a pattern `#` stands for a digit and `@` for a capital letter.
#[derive(Debug)]
pub(super) struct Country {
    pub(super) name: &'static str,
    /// Legal forms that only its companies have (some of them: those of a neighbour, too).
    forms: &'static [&'static str],
    order: Order,
    streets: &'static [&'static str],
    /// Name, pattern of the post code, pattern of a telephone number behind `dial`.
    towns: &'static [(&'static str, &'static str, &'static str)],
    dial: &'static str,
    /// Pattern of a bank account: an IBAN where the country has those.
    account: &'static str,
}

/// How an address is written.
#[derive(Debug, Clone, Copy)]
enum Order {
    /// `Gartenweg 5, 20457 Hamburg`.
    StreetFirst,
    /// `12 rue de la Gare, 69003 Lyon`.
    NumberFirst,
    /// `12 Mill Lane, Leeds LS1 4AB`.
    CodeLast,
}

/// An address in a country.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) country: &'static Country,
    /// Street and number.
    pub(super) street: String,
    pub(super) code: String,
    pub(super) town: &'static str,
    /// A telephone number there.
    pub(super) phone: String,
}

impl Country {
    /// The country of a company, by its legal form where that tells.
    pub(super) fn of(persona: &Persona) -> &'static Self {
        let has = |form: &&str| {
            let before = persona.company.strip_suffix(*form);
            before.is_some_and(|before| before.ends_with(' '))
        };
        let fits: Vec<&'static Self> = COUNTRIES.iter().filter(|c| c.forms.iter().any(has)).collect();
        let mut rng = persona.rng("country");
        let fits = rng.pick(&fits).copied();
        fits.or_else(|| rng.pick(COUNTRIES)).unwrap_or(&GERMANY)
    }

    /// An address there.
    pub(super) fn place(&'static self, rng: &mut Rng) -> Place {
        let (town, code, phone) = rng.pick(self.towns).copied().unwrap_or_default();
        let (street, number) = (rng.word(self.streets), rng.range(1, 148));
        Place {
            country: self,
            street: match self.order {
                Order::StreetFirst => format!("{street} {number}"),
                Order::NumberFirst | Order::CodeLast => format!("{number} {street}"),
            },
            code: drawn(code, rng),
            town,
            phone: format!("{} {}", self.dial, drawn(phone, rng)),
        }
    }

    /// A bank account there.
    pub(super) fn account(&self, rng: &mut Rng) -> String {
        drawn(self.account, rng)
    }
}

impl Place {
    /// Where a company has its head office: the same wherever it is told.
    pub(super) fn office(persona: &Persona) -> Self {
        Country::of(persona).place(&mut persona.rng("office"))
    }

    /// The whole address in one line.
    pub(super) fn line(&self) -> String {
        let Self {
            street, code, town, ..
        } = self;
        match self.country.order {
            Order::StreetFirst | Order::NumberFirst => format!("{street}, {code} {town}"),
            Order::CodeLast => format!("{street}, {town} {code}"),
        }
    }
}

/// `pattern` with drawn digits and letters.
fn drawn(pattern: &str, rng: &mut Rng) -> String {
    let mut out = String::with_capacity(pattern.len());
    for c in pattern.chars() {
        match c {
            '#' => out.push_str(&rng.digits(1)),
            // Those that British post codes have in their second half.
            '@' => out.push_str(&rng.text(1, b"ABDEFGHJLNPQRSTUWXYZ")),
            c => out.push(c),
        }
    }
    out
}

const GERMAN_STREETS: &[&str] = &[
    "Hauptstrasse",
    "Bahnhofstrasse",
    "Industriestrasse",
    "Gartenweg",
    "Lindenallee",
    "Am Hafen",
    "Werkstrasse",
    "Schillerstrasse",
    "Kirchgasse",
    "Bergweg",
    "Dieselstrasse",
    "Siemensring",
    "Alte Poststrasse",
    "Muehlenweg",
];

const GERMANY: Country = Country {
    name: "Germany",
    forms: &["GmbH", "AG", "& Co. KG"],
    order: Order::StreetFirst,
    streets: GERMAN_STREETS,
    towns: &[
        ("Hamburg", "204##", "40 3######"),
        ("Bremen", "281##", "421 5#####"),
        ("Kassel", "341##", "561 7#####"),
        ("Dortmund", "441##", "231 4#####"),
        ("Ulm", "890##", "731 6#####"),
        ("Hannover", "301##", "511 3#####"),
        ("Leipzig", "043##", "341 2######"),
        ("Bielefeld", "336##", "521 4#####"),
    ],
    dial: "+49",
    account: "DE####################",
};

const COUNTRIES: &[Country] = &[
    GERMANY,
    Country {
        name: "Austria",
        forms: &["GmbH", "& Co. KG"],
        towns: &[
            ("Graz", "80##", "316 8#####"),
            ("Linz", "40##", "732 7#####"),
            ("Salzburg", "50##", "662 4#####"),
            ("Wels", "46##", "7242 5####"),
        ],
        dial: "+43",
        account: "AT##################",
        ..GERMANY
    },
    Country {
        name: "Switzerland",
        forms: &["AG", "SA"],
        towns: &[
            ("Basel", "40##", "61 2## ## ##"),
            ("Winterthur", "84##", "52 2## ## ##"),
            ("Luzern", "60##", "41 4## ## ##"),
            ("Biel", "25##", "32 3## ## ##"),
        ],
        dial: "+41",
        account: "CH###################",
        ..GERMANY
    },
    Country {
        name: "United Kingdom",
        forms: &["Ltd"],
        order: Order::CodeLast,
        streets: &[
            "Mill Lane",
            "Station Road",
            "Church Street",
            "High Street",
            "Victoria Road",
            "Park Avenue",
            "Canal Street",
            "Albion Way",
            "Foundry Lane",
            "Kings Road",
        ],
        towns: &[
            ("Leeds", "LS# #@@", "113 4## ####"),
            ("Bristol", "BS# #@@", "117 9## ####"),
            ("Cardiff", "CF1# #@@", "29 20## ####"),
            ("Sheffield", "S# #@@", "114 2## ####"),
            ("Leicester", "LE# #@@", "116 2## ####"),
            ("Reading", "RG# #@@", "118 9## ####"),
        ],
        dial: "+44",
        account: "GB##BARC##############",
    },
    Country {
        name: "United States",
        forms: &["Inc", "LLC"],
        order: Order::CodeLast,
        streets: &[
            "Main Street",
            "Oak Street",
            "Commerce Drive",
            "Industrial Boulevard",
            "Maple Avenue",
            "Washington Street",
            "Lakeview Drive",
            "Second Avenue",
            "Harrison Road",
            "Enterprise Parkway",
        ],
        towns: &[
            ("Columbus,", "OH 432##", "614 555 ####"),
            ("Rochester,", "NY 146##", "585 555 ####"),
            ("Tacoma,", "WA 984##", "253 555 ####"),
            ("Des Moines,", "IA 503##", "515 555 ####"),
            ("Tulsa,", "OK 741##", "918 555 ####"),
            ("Providence,", "RI 029##", "401 555 ####"),
        ],
        dial: "+1",
        account: "021######-########",
    },
    Country {
        name: "Netherlands",
        forms: &["BV"],
        order: Order::StreetFirst,
        streets: &[
            "Stationsstraat",
            "Havenweg",
            "Industrieweg",
            "Kerkstraat",
            "Dorpsstraat",
            "Molenlaan",
            "Parallelweg",
            "Julianalaan",
            "Nijverheidsweg",
        ],
        towns: &[
            ("Utrecht", "35## @@", "30 2## ####"),
            ("Eindhoven", "56## @@", "40 2## ####"),
            ("Zwolle", "80## @@", "38 4## ####"),
            ("Breda", "48## @@", "76 5## ####"),
        ],
        dial: "+31",
        account: "NL##RABO##########",
    },
    Country {
        name: "Belgium",
        forms: &["SA"],
        order: Order::StreetFirst,
        streets: &[
            "Stationsstraat",
            "Kerkstraat",
            "Nieuwstraat",
            "Molenstraat",
            "Industrielaan",
            "Noordlaan",
            "Kaaistraat",
        ],
        towns: &[
            ("Antwerpen", "20##", "3 2## ## ##"),
            ("Gent", "90##", "9 2## ## ##"),
            ("Mechelen", "28##", "15 2# ## ##"),
        ],
        dial: "+32",
        account: "BE##############",
    },
    Country {
        name: "France",
        forms: &["SA"],
        order: Order::NumberFirst,
        streets: &[
            "rue de la Gare",
            "avenue Jean Jaures",
            "rue Victor Hugo",
            "rue du Port",
            "boulevard Gambetta",
            "rue des Forges",
            "chemin du Moulin",
            "rue Pasteur",
        ],
        towns: &[
            ("Lyon", "6900#", "4 72 ## ## ##"),
            ("Nantes", "44#00", "2 40 ## ## ##"),
            ("Lille", "59#00", "3 20 ## ## ##"),
            ("Grenoble", "38#00", "4 76 ## ## ##"),
        ],
        dial: "+33",
        account: "FR#########################",
    },
    Country {
        name: "Sweden",
        forms: &["AB"],
        order: Order::StreetFirst,
        streets: &[
            "Storgatan",
            "Hamngatan",
            "Industrigatan",
            "Kyrkogatan",
            "Skolgatan",
            "Verkstadsgatan",
            "Norra Vallgatan",
        ],
        towns: &[
            ("Malmo", "211 ##", "40 6## ## ##"),
            ("Uppsala", "753 ##", "18 1# ## ##"),
            ("Orebro", "702 ##", "19 1# ## ##"),
            ("Lund", "222 ##", "46 2# ## ##"),
        ],
        dial: "+46",
        account: "SE######################",
    },
    Country {
        name: "Denmark",
        forms: &["A/S"],
        order: Order::StreetFirst,
        streets: &[
            "Havnegade",
            "Jernbanegade",
            "Industrivej",
            "Kirkegade",
            "Skolevej",
            "Sondergade",
            "Fabriksvej",
        ],
        towns: &[
            ("Aarhus C", "8000", "86 ## ## ##"),
            ("Odense C", "5000", "66 ## ## ##"),
            ("Aalborg", "9000", "98 ## ## ##"),
            ("Esbjerg", "6700", "75 ## ## ##"),
            ("Kolding", "6000", "75 ## ## ##"),
        ],
        dial: "+45",
        account: "DK################",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{PersonaSpec, Seed, words};

    #[test]
    fn a_companys_office_is_in_a_country_of_its_legal_form() {
        for form in words::COMPANY_FORM {
            let known = COUNTRIES.iter().filter(|c| c.forms.contains(form)).count();
            assert_eq!(known == 0, matches!(*form, "" | "Group"), "{form}");
        }
        let mut seen = BTreeSet::new();
        for n in 0..200 {
            let spec = PersonaSpec::new(Seed::from_bytes([n; 16]), "web-server");
            let persona = Persona::derive(&spec).unwrap();
            let mut place = Place::office(&persona);
            let country = place.country;
            seen.insert(country.name);
            if let Some(form) = words::COMPANY_FORM
                .iter()
                .find(|form| !form.is_empty() && **form != "Group" && persona.company.ends_with(*form))
            {
                assert!(
                    country.forms.contains(form),
                    "{} in {}",
                    persona.company,
                    country.name
                );
            }
            let line = place.line();
            let town = country
                .towns
                .iter()
                .find(|(town, ..)| *town == place.town)
                .unwrap();
            assert!(line.contains(place.town) && line.contains(&place.code), "{line}");
            for (text, pattern) in [
                (&place.code, town.1),
                (&place.phone.split_off(country.dial.len() + 1), town.2),
            ] {
                assert_eq!(text.len(), pattern.len(), "{line}");
                assert!(text.chars().zip(pattern.chars()).all(|(c, of)| match of {
                    '#' => c.is_ascii_digit(),
                    '@' => c.is_ascii_uppercase(),
                    of => c == of,
                }));
            }
            assert_eq!(line, Place::office(&persona).line());
        }
        assert_eq!(seen.len(), COUNTRIES.len(), "each comes up: {seen:?}");
    }
}
