"""The cost model: a whole study of the strategies in params.yaml, for any number of images, CPU cores and GPUs."""

from pathlib import Path
from typing import Any

SIZES = tuple(10**power for power in range(3, 10))
WORKERS = (1, 10, 100, 1000)
RAM, FILE, LARGEST_CLUSTER = 16e9, 1e9, 1000  # what is taken for a machine's memory, a large file, a large cluster
TRAINED_ON = 0.6  # of the images, as params.yaml splits them


def modelled(constants: dict[str, Any], gpu: str, price: float) -> dict[str, Any]:
    """Return the tables and the bottlenecks that follow from what was measured, and from networks timed here."""
    from pipeline.commands.plan import sketched
    from pipeline.config import params
    from pipeline.data.quick_count import CountedImages

    settings = params.load(Path("params.yaml"))
    with_gpu = settings.model_copy(
        update={"cluster": settings.cluster.model_copy(update={"gpu": gpu, "price_per_hour": price})}
    )
    one = CountedImages(600, 150, 250, 2, 3, 224)
    sketches = sketched(settings, one, Path("nowhere"))
    model = _Model(settings, with_gpu, sketches, constants, one)
    found = {
        "constants": constants,
        "gpu": gpu,
        "price": price,
        "networks": model.networks(gpu),
        "sizes": [model.at(images) for images in SIZES],
        "clusters": [model.on(images) for images in SIZES],
        "workers": WORKERS,
    }
    return {**found, "bottlenecks": bottlenecks(constants, found, settings)}


class _Model:
    def __init__(self, settings: Any, with_gpu: Any, sketches: Any, constants: dict[str, Any], one: Any) -> None:
        self.settings, self.with_gpu, self.sketches = settings, with_gpu, sketches
        self.constants, self.one = constants, one

    def networks(self, gpu: str) -> dict[str, Any]:
        """Return what an image costs in the network that each strategy trains, counted, timed and computed."""
        from pipeline.config.cluster import GPUS

        found = {}
        for name, row in self.settings.arms.items():
            recipe = row.full_recipe({**row.default_values(), **({"head": "mlp"} if "head" in row.space else {})})
            flops, seconds = self.sketches.flops(recipe), self.sketches.seconds(recipe)
            of_gpu, host = self.sketches.seconds_on(GPUS[gpu], recipe), self.sketches.host_seconds(recipe)
            deepest = max(flops.passes, default=0)
            found[name] = {
                "recipe": f"{recipe.backbone}, {recipe.image_size} px, cut {recipe.cut}",
                "trained": {"flops": flops.trained, "bytes": self.sketches.bytes_moved(recipe).trained,
                            "cpu_seconds": seconds.trained, "gpu_seconds": of_gpu.trained,
                            "host_seconds": host.trained},
                "pass": {"flops": flops.passes[deepest], "cpu_seconds": seconds.passes[deepest],
                         "gpu_seconds": of_gpu.passes[deepest]} if deepest else None,
                "stored": {str(at): each for at, each in self.sketches.of(recipe).bytes_stored.items()},
                "cpu_flops_per_second": flops.trained / seconds.trained,
            }  # fmt: skip
        return found

    def at(self, images: int) -> dict[str, Any]:
        """Return what a study of so many images comes to, on one core and on one GPU."""
        from pipeline.commands.plan import arms, document

        counted = self.one.at(images)
        cpu = document(self.settings, counted, 1, self._plans(self.settings, counted, 1))["total"]
        gpu = document(self.with_gpu, counted, 1, self._plans(self.with_gpu, counted, 1))["total"]
        steps = [step for _, work in arms(self.settings, counted, 1, self.sketches).values() for step in work]
        scored = sum(len(step.units) * counted.test for step in steps if step.stage != "tune")
        seeds = len(self.settings.train.seeds) * len(self.settings.arms)
        return {
            "images": images,
            "flops": cpu["flops"],
            "bytes_moved": sum(step.cost(self.sketches.bytes_moved) for step in steps),
            "cpu_seconds": 3600 * cpu["hours"] + images * self.constants["decode_png_seconds"],
            "gpu_seconds": 3600 * gpu["hours"],
            "dollars": gpu["dollars"],
            "cache_bytes": cpu["cache_bytes"],
            "packed_bytes": images * self.one.channels * self.one.side**2,
            "prediction_bytes": self.constants["prediction_bytes"] * (scored + seeds * counted.valid),
            "database_rows": cpu["database_rows"],
            "mlflow_calls": cpu["mlflow_calls"],
            "pass_cpu_seconds": sum(each.cost(self.sketches.seconds) for step in steps for each in step.passes),
            "units_at_once": max(len(step.units) for step in steps),
        }

    def on(self, images: int) -> dict[str, Any]:
        """Return what a study of so many images takes by the clock, and costs, on ever more GPUs."""
        from pipeline.commands.plan import document

        counted, found = self.one.at(images), {}
        for workers in WORKERS:
            total = document(self.with_gpu, counted, workers, self._plans(self.with_gpu, counted, workers))["total"]
            found[str(workers)] = {"clock_seconds": 3600 * total["clock_hours"], "dollars": total["dollars"]}
        return {"images": images, "by_workers": found}

    def _plans(self, settings: Any, counted: Any, workers: int) -> Any:
        from pipeline.commands.plan import arms

        return {name: each for name, (each, _) in arms(settings, counted, workers, self.sketches).items()}


def bottlenecks(constants: dict[str, Any], found: dict[str, Any], settings: Any) -> dict[str, float]:
    """Return the numbers at which something gives way."""
    from pipeline.config.cluster import GPUS

    card, nets, many = GPUS[found["gpu"]], found["networks"], next(e for e in found["sizes"] if e["images"] == 10**6)
    each_image = {key: value / many["images"] for key, value in many.items()}
    pixels, head = nets["scratch"]["trained"], max(nets["frozen"]["stored"].values())
    maps = max(nets["finetune"]["stored"].values())
    alone, crowded = constants["unit_seconds"], constants["unit_seconds_by_worker"] * LARGEST_CLUSTER
    records = constants["trial_seconds"] + constants["run_seconds"]
    fullest = max(constants["round_seconds"], key=int)
    return {
        "cache_limit": settings.features.cache_bytes,
        "cache_images": settings.features.cache_bytes / each_image["cache_bytes"],
        "cache_bytes": each_image["cache_bytes"],
        "pass_images": 3600 / each_image["pass_cpu_seconds"],
        "ram": RAM,
        "head_bytes": head,
        "head_images": RAM / (constants["logistic_copies"] * head) / TRAINED_ON,
        "list_images": RAM / constants["list_bytes"],
        "file": FILE,
        "prediction_images": FILE / each_image["prediction_bytes"] * len(nets),
        "packed_images": 1e12 / each_image["packed_bytes"],
        "units_at_once": many["units_at_once"],
        "host_images": 1 / pixels["host_seconds"],
        "gpu_images": 1 / max(pixels["flops"] / card.flops, pixels["bytes"] / 2 / card.bytes_per_second),
        "maps_bytes": maps,
        "maps_images": constants["read_bytes_per_second"] / maps,
        "workers": LARGEST_CLUSTER,
        "units_per_second": 1 / alone,
        "crowded_units_per_second": 1 / (alone + crowded),
        "shortest_unit": LARGEST_CLUSTER * (alone + crowded),
        "trials_per_second": 1 / records,
        "shortest_trial": LARGEST_CLUSTER * records,
        "search_trials": int(fullest),
        "round_seconds": constants["round_seconds"][fullest],
        "mlflow_runs": FILE / constants["run_bytes"],
    }
