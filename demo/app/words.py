"""Words that the sample application's rows are made of."""

# ruff: noqa: SIM905  # a hundred lines of one word each are harder to read

FIRST = (
    "Ada Aisha Alba Amir Anja Bao Boris Carla Chloe Dario Dina Elif Emil Esra Farid Fleur Goran Hana Hugo Ida "
    "Ines Ivan Jana Joao Kaito Kemal Lara Leon Lina Malik Marta Mei Milan Nadia Nils Noor Olga Omar Pavel Petra "
    "Ravi Rosa Sami Sofia Tariq Tess Uma Viktor Wanda Yusuf Zoe"
).split()
LAST = (
    "Abbas Almeida Arslan Bauer Berg Bianchi Brandt Castro Chen Costa Dubois Eriksen Fischer Garcia Haas Horvat "
    "Ito Jansen Kaya Keller Khan Kowalski Larsen Lopez Marin Meyer Moreau Nagy Novak Okafor Olsen Patel Peeters "
    "Petrov Popescu Rossi Sato Schmidt Silva Sokolov Tanaka Torres Vogel Walsh Weber Yilmaz Zhang"
).split()
DOMAINS = ("example.com", "example.org", "mail.example.net", "studio.example", "post.example.org")
EPOCHS = (
    "Growing up",
    "First city",
    "University",
    "The band years",
    "Learning a trade",
    "Abroad",
    "Starting over",
    "Parenthood",
    "The long project",
    "Night shifts",
    "Our own shop",
    "A slower life",
)
STAGES = (
    "Leaving home",
    "A borrowed desk",
    "The first order",
    "An empty house",
    "Two suitcases",
    "The exam",
    "A new name on the door",
    "The winter without work",
    "Meeting Sam",
    "Back to school",
    "The last day",
    "A letter",
)
PLACES = ("Lisbon", "Ghent", "Izmir", "Osaka", "Leipzig", "Porto", "Tallinn", "Turin", "Accra", "Malmö", "Wrocław")
MASKS = ("Work", "Family", "Readers", "Neighbours")
SENTENCES = (
    "The train was late and nobody minded.",
    "We painted the kitchen twice, because the first yellow was wrong.",
    "I kept the ticket for eleven years.",
    "She taught me to listen before I answered.",
    "There was no plan, only a list on the fridge.",
    "The workshop smelled of oil and oranges.",
    "On Sundays we walked along the river to the old bridge.",
    "I learned the language from the radio and from the neighbours.",
    "My first salary went into a coat and a dictionary.",
    "When the shop closed, the street became very quiet.",
    "He wrote every week, then every month, then at New Year.",
    "It took three winters until the garden gave anything back.",
    "The exam was easier than the night before it.",
    "We still set the table for five.",
)
EVENTS = ("invoice.paid", "invoice.payment_failed", "checkout.session.completed", "customer.subscription.created")
