"""Rows of a plain table that keep rules, and what the check `tables` finds in them."""

import numpy as np

from unflaw.audit import TablesCheck, audit
from unflaw.data import Rows

CITIES = {"Bath": "UK", "Leeds": "UK", "Paris": "France", "Lyon": "France", "Rome": "Italy"}


def people(n, seed=0):
    """Rows that keep rules: net + tax = gross, a city lies in one country, no man is pregnant, hours pile up at 40."""
    rng = np.random.default_rng(seed)
    records = []
    for i in range(n):
        city, sex = rng.choice(list(CITIES)), rng.choice(["f", "m"])
        net, age = float(rng.integers(500, 4000)), int(rng.integers(18, 70))
        tax = round(net * float(rng.random()) / 2, 2)
        records.append({
            "age": age, "hours": int(min(40, rng.integers(20, 60))), "net": net, "tax": tax,
            "gross": round(net + tax, 2), "seniority": int(rng.integers(0, age - 16)),
            "city": str(city), "country": CITIES[city], "sex": str(sex),
            "pregnant": "yes" if sex == "f" and rng.random() < 0.4 else "no",
            "licence": None if age < 30 else "A", "name": f"{seed}-{i}",
        })  # fmt: skip
    return records


def rows(records):
    return Rows.from_records(records, {})


def tables(synthetic, reference=None, holdout=None, **settings):
    given = [
        None if r is None else rows(r) for r in (synthetic, people(400, 2) if reference is None else reference, holdout)
    ]
    found = audit(given[0], given[1], holdout=given[2], checks=[TablesCheck(**settings)])
    return {f.check.partition(".")[2]: f for f in found.findings}
