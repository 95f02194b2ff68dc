"""The requests that constraints are added to: ways of asking, what to ask about, and words that fit.

A constraint should test whether the model listens, not whether it can force "penguin" into a text
about bank accounts. So each topic brings its own words.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TASKS", "Request", "requests"]


class Request(NamedTuple):
    """Something to ask, with words that fit it."""

    text: str
    words: tuple[str, ...]
    """Might come up in a natural answer, and are not in the request: an answer may well do without them."""


TASKS: dict[str, tuple[str, ...]] = {
    "Describe {}.": (
        "a rainy morning in a small town: streets, quiet, wet", "an old wooden bridge: river, moss, boards",
        "the inside of a busy kitchen: food, hot, cook", "a night market: food, people, lights",
        "a lighthouse in a storm: waves, sea, dark", "a quiet library: books, shelves, read",
        "the first day of spring: flowers, sun, warm", "a long train journey: window, time, people",
    ),
    "Explain to a child {}.": (
        "why the sky is blue: light, air, sun", "how a bicycle stays upright: wheels, balance, move",
        "what a bank does: money, safe, people", "where rain comes from: water, clouds, air",
        "why we sleep: body, rest, night", "how bread rises: yeast, dough, air",
        "what a shadow is: light, sun, dark", "why leaves change colour: green, trees, autumn",
    ),
    "Write a short story about {}.": (
        "a dog that is afraid of the dark: bed, night, brave", "a lost letter: post, found, old",
        "two friends who build a boat: river, water, wood", "a robot in a garden: water, flowers, day",
        "a baker who loses a recipe: bread, lost, flour", "a mouse in a museum: cheese, small, night",
        "a very slow race: turtle, finish, time", "a clock that runs backwards: time, old, day",
    ),
    "Give advice to someone who {}.": (
        "cannot fall asleep: bed, night, relax", "starts a new job tomorrow: work, time, people",
        "wants to learn the piano: practice, music, play", "keeps losing their keys: place, home, find",
        "moves to a new city: people, map, home", "has too little time to read: evening, book, day",
        "wants to save money: budget, spend, month", "is nervous about a speech: practice, calm, audience",
    ),
    "Compare {}.": (
        "tea and coffee: drink, morning, hot", "cats and dogs: home, pets, love",
        "life in a village and life in a city: noise, people, quiet",
        "books and films: pictures, story, time",
        "summer and winter: snow, cold, warm", "running and swimming: muscles, body, water",
        "paper letters and emails: fast, write, send", "mountains and the sea: snow, water, high",
    ),
    "Suggest {}.": (
        "a name for a small bakery: oven, bread, sweet",
        "a present for a grandmother: love, warm, special",
        "a game for a long car ride: words, play, fun", "a simple dinner for four: rice, salad, easy",
        "a plan for a free Sunday: lunch, walk, friends", "a slogan for a bookshop: read, story, world",
        "a hobby for rainy days: music, home, fun", "a costume for a party: mask, hat, fun",
    ),
    "Write an email that {}.": (
        "thanks a teacher: grateful, help, class", "invites a neighbour to dinner: join, home, Saturday",
        "asks for a day off: work, Friday, request", "says sorry for being late: train, time, meeting",
        "reports a broken lamp: switch, light, repair", "cancels a meeting: sorry, time, week",
        "welcomes a new colleague: team, work, help",
        "asks a shop about a refund: order, money, bought",
    ),
    "What makes {}?": (
        "a good friend: kind, trust, help", "a good teacher: students, learn, patient",
        "a song easy to remember: melody, words, music", "a garden grow well: water, soil, sun",
        "a team work well: listen, trust, goal", "a meal healthy: vegetables, fresh, body",
        "a holiday restful: sleep, time, relax", "a story exciting: characters, reader, end",
    ),
    "Name some reasons to {}.": (
        "learn a second language: people, culture, travel", "walk every day: health, body, air",
        "keep a diary: write, thoughts, day", "plant a tree: air, shade, nature",
        "cook at home: health, money, fresh", "visit a museum: art, history, learn",
        "turn off the phone at night: sleep, light, rest", "ride a bicycle to work: health, money, air",
    ),
    "Rewrite this in your own words: {}": (
        "The shop opens early so that workers can buy breakfast.: morning, staff, food",
        "Many birds fly south before the winter comes.: cold, warm, travel",
        "She forgot her umbrella and came home wet.: house, soaked, rain",
        "The river was too wide to cross on foot.: water, bridge, walk",
        "Old maps often show lands that do not exist.: ancient, places, real",
        "The children painted the fence while it was still warm.: kids, colour, sun",
        "A good rest can solve a hard problem.: sleep, answer, mind",
        "Nobody in the office knew how the printer worked.: paper, ink, machine",
    ),
    "How would you {}?": (
        "clean a dirty window: water, soap, cloth", "make a guest feel welcome: drink, home, smile",
        "teach a child to tie a shoe: lace, loop, knot", "pack for a week by the sea: clothes, beach, sun",
        "choose a good melon: ripe, sweet, fresh", "calm an angry customer: listen, sorry, help",
        "wake up early every day: sleep, morning, bed", "keep plants alive in summer: water, sun, soil",
    ),
    "Tell me about {}.": (
        "the moon: earth, light, night", "honey bees: queen, flowers, hive",
        "the history of chocolate: cocoa, sweet, people", "volcanoes: lava, hot, mountain",
        "whales: ocean, large, water", "the invention of the wheel: cart, people, move",
        "penguins: ice, birds, cold", "deserts: water, dry, sand",
    ),
}  # fmt: skip
"""Way of asking → "topic: words that fit". All can be answered in a few sentences, from common knowledge."""


def requests() -> list[Request]:
    """Return every request, ways of asking in turn, so that neighbours differ.

    >>> requests()[0]
    Request(text='Describe a rainy morning in a small town.', words=('streets', 'quiet', 'wet'))
    """
    found = []
    for topics in zip(*TASKS.values(), strict=True):
        for ask, topic in zip(TASKS, topics, strict=True):
            about, _, listed = topic.rpartition(": ")
            found.append(Request(ask.format(about), tuple(listed.split(", "))))
    return found
