import dataclasses
import json
import re
from html.parser import HTMLParser

import pytest

from unflaw._errors import DataError, SettingsError
from unflaw.report import collect, render, to_html, to_markdown


class Tags(HTMLParser):
    """Every start tag with its attributes, in order, and whether tags close as they should."""

    VOID = {"meta", "link", "br", "img", "path", "line", "circle", "rect"}

    def __init__(self, page):
        super().__init__()
        self.all, self.open, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.all.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def named(self, tag):
        return [attrs for name, attrs in self.all if name == tag]


@pytest.fixture(scope="module")
def page(run):
    return to_html(collect(run))


@pytest.fixture(scope="module")
def hostile(hostile_run):
    return to_html(collect(hostile_run))


def test_sections_come_in_the_order_a_reader_needs(page):
    wanted = ["What to mend first", "What to do next", "Findings", "Against the earlier version", "What is forgotten"]
    wanted += ["How training went", "Models before and after"]
    wanted += ["The same prompt, each model", "Rows taken out", "Rejected rows", "Settings and provenance"]
    assert re.findall(r"<h2[^>]*>([^<]*)</h2>", page) == wanted
    assert page.index("The synthetic rows are flawed") < page.index("Repair recovered") < page.index("What to do next")


def test_headings_never_skip_a_level(page):
    levels = [int(n) for n in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))


def test_the_page_is_accessible(page):
    tags = Tags(page)
    assert tags.open == []
    assert tags.named("html")[0]["lang"] == "en"
    assert {"header", "main", "nav", "footer"} <= {tag for tag, _ in tags.all}
    assert len(tags.named("table")) == len(tags.named("caption"))
    assert all(th.get("scope") in ("col", "row") for th in tags.named("th"))
    assert all(s.get("aria-hidden") or (s["role"] == "img" and s["aria-label"]) for s in tags.named("svg"))
    ids = [a["id"] for _, a in tags.all if "id" in a]
    assert len(ids) == len(set(ids))
    targets = [a["href"][1:] for a in tags.named("a")]
    assert set(targets) <= set(ids)


def test_the_page_loads_nothing(page):
    tags = Tags(page)
    for tag, attrs in tags.all:
        for key in ("src", "href", "srcset", "data", "action", "poster"):
            assert attrs.get(key, "#")[:5] in ("#", "data:") or attrs[key].startswith("#"), (tag, attrs)
    assert not re.search(r"url\((?!#)|@import|https?://", page)


@pytest.mark.parametrize("name", ["page", "hostile"])
def test_only_our_own_scripts_are_scripts(name, request):
    tags = Tags(request.getfixturevalue(name))
    assert len(tags.named("script")) == 2
    assert not tags.named("img")
    assert not [attrs for _, attrs in tags.all if any(key.startswith("on") for key in attrs)]
    policy = tags.named("meta")[2]["content"]
    assert policy.count("sha256-") == 2
    assert "script-src 'sha256-" in policy and "default-src 'none'" in policy


def test_planted_markup_stays_text(hostile, planted):
    assert planted not in hostile
    text = "".join(Tags(hostile).text)
    assert text.count(planted) >= 4, "in a row, a column name, a title and a model's output"
    assert "null ␀ byte ␛[31m" in text
    assert "{{ 7 * 7 }}" in text
    assert "more characters)" in text


def test_a_big_run_stays_below_two_megabytes(tmp_path, make_run, make_findings):
    ids = [f"{i:016x}" for i in range(4000)]
    many = [
        dataclasses.replace(f, check=f"{f.check}.{i}", title=f"{f.title} {i}")
        for i in range(3)
        for f in make_findings(ids)
    ]
    folder = make_run(tmp_path / "big", n_rows=600, findings=many)
    page = render(folder)
    assert page.stat().st_size < 2_000_000
    report = json.loads(page.with_suffix(".json").read_text())
    assert len(report["findings"]) == 12
    assert all(f["worst"]["left_out"] == 3900 for f in report["findings"] if f["worst"]["n_scored"])
    assert "The 100 worst of 4,000 scored rows" in page.read_text()


@pytest.mark.parametrize("letter", ["<", "\U0001f600"])
def test_heavy_rows_stay_below_two_megabytes(tmp_path, make_run, make_findings, letter):
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = [f"{i:016x}" for i in range(200)]
    found = [dataclasses.replace(f, check=f"{f.check}.{i}", plots=()) for i in range(3) for f in make_findings(ids)]
    folder = make_run(tmp_path / "heavy", n_rows=200, findings=found)
    table = {"unflaw.id": ids} | {f"column {i}": [letter * 5000] * 200 for i in range(8)}
    pq.write_table(pa.table(table), folder / "rows.parquet")
    report = collect(folder)
    assert len(to_html(report).encode()) < 2_000_000
    worst = report["findings"][0]["worst"]
    assert 0 < len(worst["rows"]) == worst["n_scored"] - worst["left_out"]


def test_render_writes_page_and_json_side_by_side(run):
    page = render(run)
    assert page == run / "report.html"
    assert json.loads((run / "report.json").read_text())["verdict"]["level"] == "fail"
    assert not list(run.glob(".report*")), "nothing half-written is left"
    assert page.stat().st_mode & 0o777 == 0o644


def test_the_ending_of_out_says_what_is_written(run, tmp_path):
    assert render(run, tmp_path / "deep" / "r.md").read_text().startswith("# The synthetic rows are flawed")
    assert json.loads(render(run, tmp_path / "r.json").read_text())["name"] == "qa-demo"
    with pytest.raises(SettingsError, match=r"must end in \.html, \.md or \.json"):
        render(run, tmp_path / "r.pdf")


def test_a_failed_write_leaves_the_old_page(run, tmp_path, monkeypatch):
    (tmp_path / "r.md").write_text("old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(DataError, match="No space|full"):
        render(run, tmp_path / "r.md")
    assert [p.name for p in tmp_path.iterdir()] == ["r.md"]
    assert (tmp_path / "r.md").read_text() == "old"


def test_markdown_says_the_same_and_escapes(run, hostile_run):
    text = to_markdown(collect(run))
    assert "| A classifier tells synthetic from real | 0.941 | 0.928 to 0.953 | 0.512 | fail |" in text
    assert "within noise" in text
    assert "| gap.c2st\\_auc | 0.71 warn | 0.941 fail | worse |" in text
    assert "\\<script\\>" in to_markdown(collect(hostile_run))


@pytest.mark.parametrize("kept", ["findings.json", "scores.json", "curves.json", "rejected.jsonl"])
def test_any_single_file_makes_a_page(tmp_path, make_run, kept):
    folder = make_run(tmp_path / "r", n_rows=5)
    for path in folder.iterdir():
        if path.name not in (kept, "manifest.json"):
            path.unlink()
    assert Tags(to_html(collect(folder))).open == []
