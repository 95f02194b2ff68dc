"""The requests that constraints are added to: ways of asking, what to ask about, and words that fit.

A constraint should test whether the model listens, not whether it can force "penguin" into a text
about bank accounts. So each topic brings its own words: the first one names the topic, the others
would come up in a natural answer.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TASKS", "Request", "requests"]


class Request(NamedTuple):
    """Something to ask, with words that fit it."""

    text: str
    noun: str
    """Names the topic."""
    words: tuple[str, ...]
    """Would come up in a natural answer."""


TASKS: dict[str, tuple[str, ...]] = {
    "Describe {}.": (
        "a rainy morning in a small town: rain, streets, quiet, wet", "an old wooden bridge: bridge, river, old, wood",
        "the inside of a busy kitchen: kitchen, food, hot, cook", "a night market: market, food, people, lights",
        "a lighthouse in a storm: storm, waves, light, dark", "a quiet library: library, books, quiet, read",
        "the first day of spring: spring, flowers, sun, warm", "a long train journey: train, window, time, people",
    ),
    "Explain to a child {}.": (
        "why the sky is blue: sky, light, blue, sun", "how a bicycle stays upright: bicycle, wheels, balance, move",
        "what a bank does: bank, money, safe, people", "where rain comes from: rain, water, clouds, air",
        "why we sleep: sleep, body, rest, night", "how bread rises: bread, yeast, dough, air",
        "what a shadow is: shadow, light, sun, dark", "why leaves change colour: leaves, green, trees, autumn",
    ),
    "Write a short story about {}.": (
        "a dog that is afraid of the dark: dog, dark, night, afraid", "a lost letter: letter, lost, found, old",
        "two friends who build a boat: boat, friends, water, wood", "a robot in a garden: robot, garden, flowers, day",
        "a baker who loses a recipe: recipe, bread, lost, baker", "a mouse in a museum: mouse, museum, small, night",
        "a very slow race: race, slow, finish, time", "a clock that runs backwards: clock, time, old, day",
    ),
    "Give advice to someone who {}.": (
        "cannot fall asleep: sleep, bed, night, relax", "starts a new job tomorrow: job, work, new, people",
        "wants to learn the piano: piano, practice, music, play", "keeps losing their keys: keys, place, home, find",
        "moves to a new city: city, people, new, home", "has too little time to read: read, time, book, day",
        "wants to save money: money, save, spend, month", "is nervous about a speech: speech, practice, calm, audience",
    ),
    "Compare {}.": (
        "tea and coffee: tea, drink, coffee, hot", "cats and dogs: cats, dogs, pets, love",
        "life in a village and life in a city: city, village, people, life",
        "books and films: books, films, story, time",
        "summer and winter: summer, winter, cold, warm", "running and swimming: running, swimming, body, water",
        "paper letters and emails: letters, paper, write, send", "mountains and the sea: sea, mountains, water, high",
    ),
    "Suggest {}.": (
        "a name for a small bakery: bakery, name, bread, sweet",
        "a present for a grandmother: gift, love, warm, special",
        "a game for a long car ride: game, car, play, fun", "a simple dinner for four: dinner, rice, salad, easy",
        "a plan for a free Sunday: morning, Sunday, walk, day", "a slogan for a bookshop: books, read, story, world",
        "a hobby for rainy days: hobby, rain, home, fun", "a costume for a party: costume, party, hat, fun",
    ),
    "Write an email that {}.": (
        "thanks a teacher: teacher, thank, help, class", "invites a neighbour to dinner: dinner, join, home, Saturday",
        "asks for a day off: day, work, Friday, request", "says sorry for being late: late, sorry, time, meeting",
        "reports a broken lamp: lamp, broken, light, repair", "cancels a meeting: meeting, sorry, time, cancel",
        "welcomes a new colleague: team, welcome, work, new",
        "asks a shop about a refund: refund, order, money, bought",
    ),
    "What makes {}?": (
        "a good friend: friend, kind, trust, help", "a good teacher: teacher, students, learn, patient",
        "a song easy to remember: song, melody, words, music", "a garden grow well: garden, water, soil, sun",
        "a team work well: team, work, trust, goal", "a meal healthy: meal, vegetables, fresh, body",
        "a holiday restful: holiday, rest, time, relax", "a story exciting: story, characters, reader, end",
    ),
    "Name some reasons to {}.": (
        "learn a second language: language, people, culture, travel", "walk every day: walk, health, body, air",
        "keep a diary: diary, write, thoughts, day", "plant a tree: tree, air, shade, nature",
        "cook at home: food, home, money, fresh", "visit a museum: museum, art, history, learn",
        "turn off the phone at night: phone, sleep, light, rest", "ride a bicycle to work: bicycle, health, work, save",
    ),
    "Rewrite this in your own words: {}": (
        "The shop opens early so that workers can buy breakfast.: shop, early, breakfast, workers",
        "Many birds fly south before the winter comes.: birds, south, winter, fly",
        "She forgot her umbrella and came home wet.: umbrella, home, wet, rain",
        "The river was too wide to cross on foot.: river, wide, cross, walk",
        "Old maps often show lands that do not exist.: maps, old, lands, exist",
        "The children painted the fence while it was still warm.: fence, children, paint, warm",
        "A good rest can solve a hard problem.: rest, problem, good, solve",
        "Nobody in the office knew how the printer worked.: printer, office, work, nobody",
    ),
    "How would you {}?": (
        "clean a dirty window: window, water, clean, cloth", "make a guest feel welcome: guest, welcome, home, smile",
        "teach a child to tie a shoe: shoe, lace, loop, child", "pack for a week by the sea: pack, clothes, beach, sun",
        "choose a good melon: melon, ripe, sweet, fresh", "calm an angry customer: customer, listen, calm, help",
        "wake up early every day: early, sleep, morning, bed", "keep plants alive in summer: plants, water, sun, soil",
    ),
    "Tell me about {}.": (
        "the moon: moon, earth, light, night", "honey bees: bees, honey, flowers, hive",
        "the history of chocolate: chocolate, cocoa, sweet, people", "volcanoes: lava, volcano, hot, mountain",
        "whales: whales, ocean, large, water", "the invention of the wheel: wheel, invention, people, move",
        "penguins: penguins, ice, birds, cold", "deserts: desert, water, dry, sand",
    ),
}  # fmt: skip
"""Way of asking → "topic: noun, words that fit". All can be answered in a few sentences, from common knowledge."""


def requests() -> list[Request]:
    """Return every request, ways of asking in turn, so that neighbours differ.

    >>> requests()[0]
    Request(text='Describe a rainy morning in a small town.', noun='rain', words=('streets', 'quiet', 'wet'))
    """
    found = []
    for topics in zip(*TASKS.values(), strict=True):
        for ask, topic in zip(TASKS, topics, strict=True):
            about, _, listed = topic.rpartition(": ")
            noun, *words = listed.split(", ")
            found.append(Request(ask.format(about), noun, tuple(words)))
    return found
