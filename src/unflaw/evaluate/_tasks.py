"""The requests that constraints are added to: ways of asking, and what to ask about."""

from __future__ import annotations

__all__ = ["TASKS", "requests"]

TASKS: dict[str, tuple[str, ...]] = {
    "Describe {}.": (
        "a rainy morning in a small town", "an old wooden bridge", "the inside of a busy kitchen", "a night market",
        "a lighthouse in a storm", "a quiet library", "the first day of spring", "a long train journey",
    ),
    "Explain to a child {}.": (
        "why the sky is blue", "how a bicycle stays upright", "what a bank does", "where rain comes from",
        "why we sleep", "how bread rises", "what a shadow is", "why leaves change colour",
    ),
    "Write a short story about {}.": (
        "a dog that is afraid of the dark", "a lost letter", "two friends who build a boat", "a robot in a garden",
        "a baker who loses a recipe", "a mouse in a museum", "a very slow race", "a clock that runs backwards",
    ),
    "Give advice to someone who {}.": (
        "cannot fall asleep", "starts a new job tomorrow", "wants to learn the piano", "keeps losing their keys",
        "moves to a new city", "has too little time to read", "wants to save money", "is nervous about a speech",
    ),
    "Compare {}.": (
        "tea and coffee", "cats and dogs", "life in a village and life in a city", "books and films",
        "summer and winter", "running and swimming", "paper letters and emails", "mountains and the sea",
    ),
    "Suggest {}.": (
        "a name for a small bakery", "a present for a grandmother", "a game for a long car ride",
        "a simple dinner for four", "a plan for a free Sunday", "a slogan for a bookshop", "a hobby for rainy days",
        "a costume for a party",
    ),
    "Write an email that {}.": (
        "thanks a teacher", "invites a neighbour to dinner", "asks for a day off", "says sorry for being late",
        "reports a broken lamp", "cancels a meeting", "welcomes a new colleague", "asks a shop about a refund",
    ),
    "What makes {}?": (
        "a good friend", "a good teacher", "a song easy to remember", "a garden grow well", "a team work well",
        "a meal healthy", "a holiday restful", "a story exciting",
    ),
    "Name some reasons to {}.": (
        "learn a second language", "walk every day", "keep a diary", "plant a tree", "cook at home",
        "visit a museum", "turn off the phone at night", "ride a bicycle to work",
    ),
    "Rewrite this in your own words: {}": (
        "The shop opens early so that workers can buy breakfast.", "Many birds fly south before the winter comes.",
        "She forgot her umbrella and came home wet.", "The river was too wide to cross on foot.",
        "Old maps often show lands that do not exist.", "The children painted the fence while it was still warm.",
        "A good rest can solve a hard problem.", "Nobody in the office knew how the printer worked.",
    ),
    "How would you {}?": (
        "clean a dirty window", "make a guest feel welcome", "teach a child to tie a shoe",
        "pack for a week by the sea", "choose a good melon", "calm an angry customer",
        "wake up early every day", "keep plants alive in summer",
    ),
    "Tell me about {}.": (
        "the moon", "honey bees", "the history of chocolate", "volcanoes", "whales", "the invention of the wheel",
        "penguins", "deserts",
    ),
}  # fmt: skip
"""Way of asking → its topics. All can be answered in a few sentences, without knowledge of the day."""


def requests() -> list[str]:
    """Every request, ways of asking in turn, so that neighbours differ.

    >>> requests()[:2]
    ['Describe a rainy morning in a small town.', 'Explain to a child why the sky is blue.']
    """
    rounds = zip(*TASKS.values(), strict=True)
    return [ask.format(topic) for topics in rounds for ask, topic in zip(TASKS, topics, strict=True)]
