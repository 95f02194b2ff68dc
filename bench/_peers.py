"""Peers, each run by a Python of its own that has it installed: `bench/audit.py` and `classify.py` call this file.

    PYTHON bench/_peers.py PEER FILE.jsonl [SETTINGS AS JSON]    prints {"cpu": seconds, "answer": …} on the last line

Processor seconds are those of the process, its threads and its children, after the imports.
"""

import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import Any

Settings = dict[str, Any]
Answer = tuple[float, Any]
"""Processor seconds, and what was found."""

warnings.filterwarnings("ignore")


def cpu() -> float:
    """Return the processor seconds so far, children that ended included."""
    return sum(os.times()[:4])


def semhash(path: str, settings: Settings) -> Answer:
    """Find the rows that repeat another in other words, with the same vectors as ours."""
    from model2vec import StaticModel
    from semhash import SemHash

    model = StaticModel.from_pretrained(settings["encoder"])
    texts = [row["text"] for row in rows_of(path)]
    started = cpu()
    kept = SemHash.from_records(records=texts, model=model).self_deduplicate(threshold=settings["threshold"])
    return cpu() - started, len(texts) - len(kept.selected)


def datatrove(path: str, settings: Settings) -> Answer:
    """Find near copies in four stages, one task each, with as many bands and minima as ours."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter
    from datatrove.utils.hashing import HashConfig

    config = MinhashConfig(
        hash_config=HashConfig(precision=64), n_grams=3, num_buckets=settings["bands"],
        hashes_per_bucket=settings["minima"],
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        at = {name: os.path.join(folder, name) for name in ("signatures", "buckets", "remove", "kept", "logs")}
        read = JsonlReader(os.path.dirname(path), glob_pattern=os.path.basename(path), text_key="text")
        stages = [
            [read, MinhashDedupSignature(output_folder=at["signatures"], config=config, language="en")],
            [MinhashDedupBuckets(input_folder=at["signatures"], output_folder=at["buckets"], config=config)],
            [MinhashDedupCluster(input_folder=at["buckets"], output_folder=at["remove"], config=config)],
            [read, MinhashDedupFilter(input_folder=at["remove"]), JsonlWriter(at["kept"], compression=None)],
        ]
        started = cpu()
        for number, pipeline in enumerate(stages):
            tasks = settings["bands"] if number == 1 else 1
            LocalPipelineExecutor(
                pipeline, tasks=tasks, workers=1, logging_dir=os.path.join(at["logs"], str(number))
            ).run()
        spent = cpu() - started
        kept = sum(1 for name in os.listdir(at["kept"]) for _ in open(os.path.join(at["kept"], name)))
    return spent, sum(1 for _ in rows_of(path)) - kept


def data_juicer(path: str, settings: Settings) -> Answer:
    """Let the analyser look at rows with the operators that need no download."""
    from data_juicer.config import init_configs
    from data_juicer.core import Analyzer

    operators = (
        "alphanumeric_filter", "average_line_length_filter", "character_repetition_filter",
        "maximum_line_length_filter", "special_characters_filter", "text_length_filter", "word_repetition_filter",
        "words_num_filter",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        recipe = os.path.join(folder, "recipe.yaml")
        with open(recipe, "w") as file:
            json.dump(
                {
                    "project_name": "bench", "dataset_path": path, "export_path": os.path.join(folder, "out.jsonl"),
                    "np": 1, "process": [{name: {}} for name in operators], "use_cache": False,
                },
                file,
            )  # fmt: skip
        started = cpu()
        Analyzer(init_configs(["--config", recipe])).run()
        return cpu() - started, len(operators)


def ydata(path: str, settings: Settings) -> Answer:
    """Write a report of a table."""
    import pandas as pd
    from ydata_profiling import ProfileReport

    frame = pd.DataFrame(list(rows_of(path)))
    started = cpu()
    ProfileReport(frame, title="bench", progress_bar=False).to_file(settings["out"])
    return cpu() - started, os.path.getsize(settings["out"])


def data_designer(path: str, settings: Settings) -> Answer:
    """Write labelled texts through a server: a label drawn, then a text asked for by it."""
    import data_designer.config as dd
    from data_designer.interface import DataDesigner

    with tempfile.TemporaryDirectory() as folder:
        provider = dd.ModelProvider(name="mock", endpoint=settings["url"], provider_type="openai", api_key="none")
        how = dd.ChatCompletionInferenceParams(
            temperature=0.9, top_p=0.95, max_tokens=160, max_parallel_requests=settings["parallel"]
        )
        model = dd.ModelConfig(
            alias="writer", model="mock", provider="mock", inference_parameters=how, skip_health_check=True
        )
        builder = dd.DataDesignerConfigBuilder(model_configs=[model])
        labels = dd.CategorySamplerParams(values=["positive", "negative"])
        builder.add_column(dd.SamplerColumnConfig(name="label", sampler_type=dd.SamplerType.CATEGORY, params=labels))
        prompt = "Write one sentence of a film review. Its label is {{ label }}."
        builder.add_column(dd.LLMTextColumnConfig(name="text", model_alias="writer", prompt=prompt))
        designer = DataDesigner(artifact_path=folder, model_providers=[provider])
        started, began = cpu(), time.perf_counter()
        made = designer.create(builder, num_records=settings["n"]).load_dataset()
        return cpu() - started, {"seconds": time.perf_counter() - began, "rows": len(made)}


def rows_of(path: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSON-lines file."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


PEERS = {
    "semhash": semhash, "datatrove": datatrove, "data_juicer": data_juicer, "ydata": ydata,
    "data_designer": data_designer,
}  # fmt: skip

if __name__ == "__main__":
    spent, answer = PEERS[sys.argv[1]](sys.argv[2], json.loads(sys.argv[3]) if len(sys.argv) > 3 else {})
    print(json.dumps({"cpu": spent, "answer": answer}), file=sys.__stdout__)  # Data-Juicer takes the other over
