//! What new identities are made of.

pub(super) const FIRST_NAMES: [&str; 64] = [
    "Abel", "Ada", "Adela", "Alma", "Amir", "Ana", "Anton", "Arda", "Aurora", "Basil", "Bela", "Bruno", "Carla", "Cem",
    "Chloe", "Clara", "Dalia", "Dario", "Diego", "Dora", "Edda", "Elias", "Elif", "Emil", "Enzo", "Esra", "Eva",
    "Felix", "Fiona", "Flora", "Hana", "Hugo", "Ida", "Ilse", "Ines", "Ivo", "Jana", "Joel", "Jonas", "Karim", "Kira",
    "Lea", "Leo", "Lina", "Luca", "Maja", "Malik", "Marek", "Mila", "Mona", "Nadia", "Nils", "Nora", "Olga", "Omar",
    "Oscar", "Petra", "Rosa", "Samir", "Selma", "Sofia", "Tariq", "Vera", "Yuki",
];

pub(super) const LAST_NAMES: [&str; 64] = [
    "Abbott", "Acosta", "Adler", "Almeida", "Andersen", "Arslan", "Bakker", "Barros", "Becker", "Berg", "Bianchi",
    "Blanc", "Bosch", "Brandt", "Castro", "Cohen", "Costa", "Dahl", "Demir", "Diaz", "Dubois", "Duarte", "Eriksen",
    "Farkas", "Ferrari", "Fischer", "Fontaine", "Gallo", "Garcia", "Haas", "Hansen", "Hoffmann", "Horvat", "Ivanova",
    "Jansen", "Kaya", "Klein", "Kovacs", "Kowalski", "Larsen", "Laurent", "Lopez", "Lund", "Marino", "Martin",
    "Mendes", "Meyer", "Moreau", "Moreno", "Nagy", "Nilsen", "Novak", "Okafor", "Olsen", "Petrov", "Ricci", "Romero",
    "Santos", "Silva", "Sorensen", "Tanaka", "Vidal", "Weber", "Yilmaz",
];

pub(super) const STREETS: [&str; 24] = [
    "Acorn Street",
    "Birch Lane",
    "Bridge Street",
    "Canal Road",
    "Castle Street",
    "Cedar Avenue",
    "Church Lane",
    "Elm Street",
    "Garden Road",
    "Harbour Street",
    "High Street",
    "Hill Road",
    "Lake Street",
    "Linden Avenue",
    "Market Street",
    "Meadow Lane",
    "Mill Road",
    "Oak Avenue",
    "Orchard Road",
    "Park Street",
    "River Road",
    "School Lane",
    "Station Road",
    "Willow Street",
];

pub(super) const CITIES: [&str; 24] = [
    "Ashford",
    "Brookfield",
    "Clearwater",
    "Clifton",
    "Eastbourne",
    "Fairview",
    "Glenwood",
    "Greenfield",
    "Hartford",
    "Kingsbridge",
    "Lakewood",
    "Marlow",
    "Millbrook",
    "Newport",
    "Northfield",
    "Oakdale",
    "Redhill",
    "Riverside",
    "Rosewood",
    "Springfield",
    "Stonebridge",
    "Sunbury",
    "Westfield",
    "Winslow",
];

pub(super) const COMPANIES: [&str; 16] = [
    "Alder Works",
    "Blue Harbour",
    "Brightside",
    "Cobalt Trading",
    "Evergreen Goods",
    "Fieldstone",
    "Granite Partners",
    "Lantern Studio",
    "Maple Supply",
    "Northwind",
    "Open Meadow",
    "Quarry House",
    "Red Kite",
    "Silver Birch",
    "Tall Ships",
    "Western Light",
];

/// What is written in the place of what somebody wrote.
pub(super) const WORDS: [&str; 48] = [
    "about", "after", "again", "along", "around", "autumn", "because", "before", "better", "bread", "bright", "carry",
    "clear", "cloud", "early", "evening", "every", "field", "first", "friend", "garden", "green", "house", "kitchen",
    "large", "later", "letter", "light", "little", "morning", "mountain", "music", "never", "often", "paper", "quiet",
    "river", "season", "small", "summer", "table", "thing", "today", "under", "water", "window", "winter", "yellow",
];

pub(super) const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
];
