//! The words that the data set is made of.

/// Given names. Some need more than ASCII, as real customers do.
pub(super) const FIRST_NAMES: &[&str] = &[
    "Amara", "Anna", "Ben", "Björn", "Carla", "Chen", "Chloé", "Daniel", "Diego", "Elif", "Emma", "Fatima",
    "Grace", "Hana", "Hugo", "Ines", "Ivan", "Jack", "Jasmine", "José", "Kofi", "Lars", "Leila", "Liam",
    "Lucía", "Maja", "Marco", "Maya", "Mei", "Mohamed", "Nadia", "Noah", "Nora", "Olga", "Omar", "Paula",
    "Priya", "Quinn", "Rosa", "Ruth", "Samir", "Sara", "Sofía", "Tariq", "Theo", "Uma", "Victor", "Wanda",
    "Yuki", "Zoë",
];

/// Family names.
pub(super) const LAST_NAMES: &[&str] = &[
    "Abbott", "Andersen", "Baker", "Becker", "Brown", "Carter", "Costa", "Cruz", "Davis", "Dubois",
    "Edwards", "Evans", "Fischer", "Foster", "García", "Green", "Haddad", "Hall", "Hughes", "Ito", "Jackson",
    "Jensen", "Khan", "Kim", "Kowalski", "Lee", "Lopez", "Meyer", "Mitchell", "Müller", "Murphy", "Nguyen",
    "Novak", "O'Connor", "Okafor", "Patel", "Perez", "Quist", "Reed", "Rossi", "Ryan", "Sato", "Schmidt",
    "Silva", "Smith", "Tanaka", "Taylor", "Wang", "White", "Young",
];

/// City, state, first three digits of the postal code.
pub(super) const CITIES: &[(&str, &str, &str)] = &[
    ("New York", "NY", "100"),
    ("Los Angeles", "CA", "900"),
    ("Chicago", "IL", "606"),
    ("Houston", "TX", "770"),
    ("Phoenix", "AZ", "850"),
    ("Philadelphia", "PA", "191"),
    ("San Antonio", "TX", "782"),
    ("San Diego", "CA", "921"),
    ("Dallas", "TX", "752"),
    ("Austin", "TX", "787"),
    ("Columbus", "OH", "432"),
    ("Charlotte", "NC", "282"),
    ("Seattle", "WA", "981"),
    ("Denver", "CO", "802"),
    ("Boston", "MA", "021"),
    ("Portland", "OR", "972"),
    ("Atlanta", "GA", "303"),
    ("Miami", "FL", "331"),
    ("Minneapolis", "MN", "554"),
    ("Detroit", "MI", "482"),
];

/// Streets.
pub(super) const STREETS: &[&str] = &[
    "Main Street",
    "Oak Avenue",
    "Maple Drive",
    "Cedar Lane",
    "Park Road",
    "Lake View",
    "Hill Street",
    "River Road",
    "Sunset Boulevard",
    "Elm Street",
    "Church Street",
    "Mill Lane",
];

/// Where e-mail goes.
pub(super) const MAIL_DOMAINS: &[&str] = &["example.com", "example.org", "example.net", "mail.example.com"];

/// Countries that a payment from abroad comes from.
pub(super) const FOREIGN_COUNTRIES: &[&str] = &["BR", "CA", "DE", "FR", "GB", "IN", "MX", "NG", "RO", "VN"];

/// Warehouses.
pub(super) const WAREHOUSES: &[&str] = &["WH-EAST", "WH-WEST", "WH-CENTRAL"];

/// What the shop sells: name, category, subcategory, brand, list price in cents.
pub(super) const PRODUCTS: &[(&str, &str, &str, &str, i64)] = &[
    ("Wireless Earbuds", "Electronics", "Audio", "Sonora", 5_999),
    ("Over-Ear Headphones", "Electronics", "Audio", "Sonora", 12_950),
    ("Bluetooth Speaker", "Electronics", "Audio", "Boomline", 4_499),
    ("Soundbar", "Electronics", "Audio", "Boomline", 17_900),
    ("Phone Charger", "Electronics", "Accessories", "Voltik", 1_999),
    ("Power Bank", "Electronics", "Accessories", "Voltik", 3_490),
    ("USB-C Hub", "Electronics", "Accessories", "Voltik", 4_295),
    ("Mechanical Keyboard", "Electronics", "Computing", "Keyforge", 8_900),
    ("Ergonomic Mouse", "Electronics", "Computing", "Keyforge", 4_990),
    ("27-inch Monitor", "Electronics", "Computing", "Lumen", 24_900),
    ("Webcam", "Electronics", "Computing", "Lumen", 6_450),
    ("E-Reader", "Electronics", "Computing", "Folio", 13_999),
    ("Smart Watch", "Electronics", "Wearables", "Pulse", 19_900),
    ("Fitness Band", "Electronics", "Wearables", "Pulse", 4_999),
    ("French Press", "Home", "Kitchen", "Hearth", 2_950),
    ("Chef's Knife", "Home", "Kitchen", "Hearth", 4_900),
    ("Cast Iron Pan", "Home", "Kitchen", "Hearth", 3_999),
    ("Espresso Machine", "Home", "Kitchen", "Barista", 28_900),
    ("Electric Kettle", "Home", "Kitchen", "Barista", 3_790),
    ("Cutting Board", "Home", "Kitchen", "Hearth", 1_895),
    ("Desk Lamp", "Home", "Lighting", "Lumen", 3_450),
    ("Floor Lamp", "Home", "Lighting", "Lumen", 7_900),
    ("Throw Blanket", "Home", "Textiles", "Loom", 3_995),
    ("Bath Towel Set", "Home", "Textiles", "Loom", 2_990),
    ("Linen Sheets", "Home", "Textiles", "Loom", 8_990),
    ("Scented Candle", "Home", "Decor", "Hearth", 1_650),
    ("Wall Clock", "Home", "Decor", "Hearth", 2_799),
    ("Cotton T-Shirt", "Fashion", "Tops", "Everyday", 1_499),
    ("Oxford Shirt", "Fashion", "Tops", "Everyday", 3_990),
    ("Wool Sweater", "Fashion", "Tops", "Norden", 6_990),
    ("Slim Jeans", "Fashion", "Bottoms", "Everyday", 4_990),
    ("Chino Shorts", "Fashion", "Bottoms", "Everyday", 2_990),
    ("Rain Jacket", "Fashion", "Outerwear", "Norden", 8_950),
    ("Down Coat", "Fashion", "Outerwear", "Norden", 18_900),
    ("Running Shoes", "Fashion", "Shoes", "Stride", 9_990),
    ("Leather Boots", "Fashion", "Shoes", "Stride", 14_900),
    ("Canvas Sneakers", "Fashion", "Shoes", "Stride", 4_590),
    ("Yoga Mat", "Sports", "Fitness", "Kinetic", 2_495),
    ("Dumbbell Pair", "Sports", "Fitness", "Kinetic", 4_450),
    ("Resistance Bands", "Sports", "Fitness", "Kinetic", 1_790),
    ("Camping Tent", "Sports", "Outdoor", "Trailhead", 15_900),
    ("Sleeping Bag", "Sports", "Outdoor", "Trailhead", 6_990),
    ("Water Bottle", "Sports", "Outdoor", "Trailhead", 1_595),
    ("Bike Helmet", "Sports", "Cycling", "Velo", 5_490),
    ("Face Serum", "Beauty", "Skincare", "Derma", 2_890),
    ("Sunscreen", "Beauty", "Skincare", "Derma", 1_450),
    ("Hair Dryer", "Beauty", "Hair", "Aura", 5_900),
    ("Shampoo", "Beauty", "Hair", "Aura", 990),
    ("Board Game", "Toys", "Games", "Meeple", 3_499),
    ("Building Blocks", "Toys", "Games", "Meeple", 2_695),
];
