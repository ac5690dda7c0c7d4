import io
import json
import shutil
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.data.folds import train_valid
from pipeline.data.image_set import load
from pipeline.data.summary import DatasetSummary, notes_on
from pipeline.stages.prepare import main
from tests.support.pictures import saved

FILES = {"images.npy", "manifest.csv", "about.json"}


@pytest.fixture
def run(tmp_path, small_params, write_params, image_folder, capsys):
    """A function that prepares a folder into tmp_path/out and returns the exit code and what was said."""

    def run(data=image_folder, **settings):
        small_params["data"]["path"] = str(data)
        small_params["prepare"] |= settings
        out = tmp_path / "out"
        paths = {"params": write_params(tmp_path, small_params), "timings": out / "timings.json"}
        paths |= {part: out / part for part in ("dev", "test", "summary")}
        capsys.readouterr()
        code = main([str(word) for part, path in paths.items() for word in (f"--{part}", path)])
        return code, capsys.readouterr().err

    return run


def notes(tmp_path):
    """What is said of what was prepared, as prepare prints it and reports show it."""
    return "\n".join(notes_on(DatasetSummary.load(tmp_path / "out" / "summary" / "summary.json")))


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def digests(folder):
    return [json.loads((folder / part / "about.json").read_text())["digest"] for part in ("dev", "test")]


def test_images_are_packed_at_the_size_asked_for_in_two_folders(prepared):
    dev, test = load(prepared.dev), load(prepared.test)
    assert dev.images.shape == (36, 32, 32, 1)
    assert test.images.shape == (12, 32, 32, 1)
    assert dev.classes == test.classes == ("low", "top")
    assert {path.name for path in prepared.dev.iterdir()} == FILES


def test_no_image_is_in_both_and_none_is_lost(prepared, image_folder):
    dev, test = load(prepared.dev), load(prepared.test)
    assert not set(dev.ids) & set(test.ids)
    listed = [pd.read_csv(folder / "manifest.csv")["path"] for folder in (prepared.dev, prepared.test)]
    assert sorted(pd.concat(listed)) == sorted(path.name for path in image_folder.glob("*.png"))


def test_each_split_has_its_share_of_every_stratum(prepared):
    for folder, share in ((prepared.dev, 9), (prepared.test, 3)):
        assert set(pd.read_csv(folder / "manifest.csv")["stratum"].value_counts()) == {share}


def test_a_second_run_gives_the_same_bytes_and_timings_in_a_file_of_their_own(run, prepared, tmp_path):
    assert run()[0] == 0
    assert set(json.loads((tmp_path / "out/timings.json").read_text())) == {
        "wall_seconds",
        "cpu_seconds",
        "peak_memory_bytes",
    }
    for folder in (prepared.dev, prepared.test, prepared.summary):
        assert contents(folder) == contents(tmp_path / "out" / folder.name)


def test_one_pixel_changes_the_digest_of_its_split_and_of_the_whole(run, lay_out, prepared, tmp_path):
    path = lay_out() / pd.read_csv(prepared.test / "manifest.csv")["path"][0]
    pixels = np.asarray(Image.open(path)).copy()
    pixels[3, 3] += 1
    Image.fromarray(pixels).save(path)
    assert run(path.parent)[0] == 0
    assert digests(prepared.test.parent) != digests(tmp_path / "out")
    told = [json.loads((root / "summary.json").read_text()) for root in (prepared.summary, tmp_path / "out/summary")]
    assert told[0]["digest"] != told[1]["digest"]


def test_another_seed_splits_differently_and_keeps_the_sizes(run, prepared, tmp_path):
    run(seed=1)
    one, other = (set(load(folder).ids) for folder in (prepared.test, tmp_path / "out" / "test"))
    assert one != other
    assert len(one) == len(other)


def test_copies_of_an_image_stay_in_one_split(run, lay_out, tmp_path):
    data = lay_out()
    with (data / "labels.csv").open("a") as table:
        for number in range(0, 48, 2):
            shutil.copy(data / f"{number:03}.png", data / f"copy-{number:03}.png")
            table.write(f"copy-{number:03}.png,low,{'ab'[number // 2 % 2]}\n")
    assert run(data)[0] == 0
    dev, test = (load(tmp_path / "out" / part) for part in ("dev", "test"))
    assert not set(dev.ids) & set(test.ids)
    assert len(dev) + len(test) == 72
    assert json.loads((tmp_path / "out" / "summary" / "summary.json").read_text())["duplicates"] == 24


def test_a_limit_takes_so_many_images_of_all_strata(run, tmp_path):
    assert run(max_images=41)[0] == 0
    dev, test = (load(tmp_path / "out" / part) for part in ("dev", "test"))
    assert len(dev) + len(test) == 41
    assert set(dev.strata) == set(test.strata) == {"low/a", "low/b", "top/a", "top/b"}


def test_folders_of_colour_images_of_any_size_are_prepared_too(run, tmp_path):
    rng = np.random.default_rng(0)
    data = tmp_path / "raw"
    for number in range(30):
        path = data / ("cat", "dog", "owl")[number % 3] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)).save(path)
    assert run(data, stratify=[])[0] == 0
    dev = load(tmp_path / "out" / "dev")
    assert dev.images.shape == (22, 32, 32, 3)
    assert dev.classes == ("cat", "dog", "owl")


def test_columns_of_the_users_may_be_called_what_ours_are(run, lay_out, tmp_path):
    table = pd.read_csv((data := lay_out()) / "labels.csv")
    table.assign(stratum="theirs", id="theirs").to_csv(data / "labels.csv", index=False)
    assert run(data)[0] == 0
    assert set(load(tmp_path / "out" / "dev").strata) == {"low/a", "low/b", "top/a", "top/b"}


def png_header(width, height):
    """Return a PNG file that says it is so large and holds next to nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def replace(old, new):
    def break_it(data):
        text = (data / "labels.csv").read_text()
        assert old in text
        (data / "labels.csv").write_text(text.replace(old, new))

    return break_it


def write(content):
    return lambda data: (data / "005.png").write_bytes(content)


def truncate(data):
    content = (data / "005.png").read_bytes()
    (data / "005.png").write_bytes(content[: len(content) // 2])


def keep(rows):
    def break_it(data):
        lines = (data / "labels.csv").read_text().splitlines()
        (data / "labels.csv").write_text("\n".join([lines[0], *(line for line in lines[1:] if rows(line))]) + "\n")

    return break_it


def lead_out(data):
    shutil.copy(data / "005.png", data.parent / "secret.png")
    replace("005.png", "../secret.png")(data)


def mislabel_a_copy(data):
    shutil.copy(data / "000.png", data / "copy.png")
    with (data / "labels.csv").open("a") as table:
        table.write("copy.png,top,a\n")


def animation():
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, "GIF")
    return file.getvalue()[:20]


BAD = {
    "an empty file": (write(b""), ["005.png", "the file is empty"]),
    "text called an image": (write(b"not an image at all"), ["005.png", "not a readable image"]),
    "half a gif": (write(animation()), ["005.png", "not a readable image"]),
    "half an image": (truncate, ["005.png", "not a readable image", "fix or remove"]),
    "a bomb": (write(png_header(30_000, 30_000)), ["005.png"]),
    "an image over the limit": (write(png_header(9_000, 9_000)), ["005.png", "9000x9000 pixels are over the limit"]),
    "a missing file": (lambda data: (data / "005.png").unlink(), ["005.png", "No such file"]),
    "a folder called an image": (replace("005.png", "."), ["Is a directory"]),
    "a path out of the folder": (lead_out, ["../secret.png", "leads out of the data folder"]),
    "a path from the root": (replace("005.png", "/etc/hostname"), ["/etc/hostname", "leads out of the data folder"]),
    "a missing label column": (replace("label", "kind"), ["'label'", "path, kind, camera"]),
    "a missing stratum column": (replace("camera", "kind"), ["'camera'", "path, label, kind"]),
    "a missing path column": (replace("path", "file"), ["labels.csv", "`path`", "file, label, camera"]),
    "an empty label": (replace("005.png,top", "005.png,"), ["005.png", "no label"]),
    "a file named twice": (replace("005.png", "007.png"), ["labels.csv", "007.png is listed more than once"]),
    "one class alone": (keep(lambda line: "low" in line), ["'low'", "two classes or more"]),
    "a class too small": (keep(lambda line: "low" in line or line < "010"), ["'top' (5)", "needs 7", "test_fraction"]),
    "no images": (keep(lambda line: False), ["labels.csv", "a row per image"]),
    "an image with two labels": (mislabel_a_copy, ["000.png (low)", "copy.png (top)"]),
    "no table": (lambda data: (data / "labels.csv").unlink(), ["data.path", "folder of images per class"]),
    "no folder": (shutil.rmtree, ["data.path", "does not exist"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_named_in_a_few_lines_and_nothing_wrong_is_written(run, lay_out, tmp_path, case):
    break_it, said = BAD[case]
    break_it(data := lay_out())
    code, text = run(data)
    message = text[text.index("error: ") :]
    assert code == 2
    assert all(words in message for words in said)
    assert len(message.splitlines()) <= 12
    assert max(map(len, message.splitlines())) < 400
    written = {path.parent.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert written <= {"dev"}  # packed before the other split was found to be bad
    if written:
        assert len(load(tmp_path / "out" / "dev")) == 36
        assert {path.name for path in (tmp_path / "out" / "dev").iterdir()} == FILES


def test_bad_settings_are_named_before_anything_is_read(run, tmp_path):
    code, text = run(tmp_path / "nowhere", image_size=0)
    assert code == 2
    assert "prepare.image_size" in text
    assert "nowhere" not in text


def test_a_missing_option_shows_the_usage(capsys):
    with pytest.raises(SystemExit):
        main(["--dev", "x"])
    assert "--test" in capsys.readouterr().err


def sides(tmp_path):
    """What was prepared: each row of both manifests."""
    return pd.concat(pd.read_csv(tmp_path / "out" / part / "manifest.csv", dtype=str).assign(part=part)
                     for part in ("dev", "test"))  # fmt: skip


def with_column(data, **columns):
    table = pd.read_csv(data / "labels.csv", dtype=str)
    table.assign(**columns).to_csv(data / "labels.csv", index=False)
    return data


SPLIT = ["train", "train", "val", "TEST"] * 12  # of every four rows, which are two of each class


def test_the_users_test_images_stay_test_images_and_train_and_valid_are_drawn_anew(
    run, lay_out, tmp_path, small_params
):
    data = with_column(lay_out(), split=[SPLIT[(n * 7 + n // 2) % 48] for n in range(48)])
    theirs = pd.read_csv(data / "labels.csv").set_index("path")["split"]
    assert run(data, stratify=[])[0] == 0
    made = sides(tmp_path).set_index("path")
    assert set(made.index[made["part"] == "test"]) == set(theirs.index[theirs == "TEST"])
    assert set(made["split"][made["part"] == "test"]) == {"test"}
    drawn = made["split"] == "valid"
    assert set(made.index[drawn]) != set(theirs.index[theirs == "val"])
    assert drawn.sum() == np.ceil(0.2 * (theirs != "TEST").sum())
    report = notes(tmp_path)
    said = (
        f"The {(theirs == 'TEST').sum()} test images are those of your split. Its {(theirs == 'train').sum()} train and"
    )
    assert said in report


def test_what_is_made_of_a_split_is_printed(lay_out, run, tmp_path, capsys, write_params, small_params):
    data = with_column(
        lay_out(), split=[SPLIT[(n * 7 + n // 2) % 48] for n in range(48)], group=[f"{n // 2}" for n in range(48)]
    )
    theirs = pd.read_csv(data / "labels.csv")
    theirs["split"] = theirs.groupby("group")["split"].transform("first")
    theirs.to_csv(data / "labels.csv", index=False)
    small_params["data"]["path"] = str(data)
    small_params["prepare"] |= {"stratify": []}
    paths = {"params": write_params(tmp_path, small_params), "timings": tmp_path / "out/t.json"}
    paths |= {part: tmp_path / "out" / part for part in ("dev", "test", "summary")}
    assert main([str(word) for part, path in paths.items() for word in (f"--{part}", path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert "pooled: each seed draws its own train and valid" in printed[0]
    assert printed[1].startswith("None of 24 groups is in two splits: test has ")
    assert all(line in notes(tmp_path) for line in printed)


def test_weights_reach_both_splits_and_the_report_says_what_they_do(run, lay_out, tmp_path):
    assert run(with_column(lay_out(), weight=[f"{1 + n / 2}" for n in range(48)]), stratify=[])[0] == 0
    assert "In training an image counts by its weight, from 1 to 24.5; in scores all images count equally." in notes(
        tmp_path
    )
    made = sides(tmp_path)
    assert (made["weight"].astype(float) == 1 + made["path"].str[:3].astype(int) / 2).all()
    assert (
        load(tmp_path / "out" / "dev").weights.tolist() == made["weight"][made["part"] == "dev"].astype(float).tolist()
    )


def test_no_group_is_in_two_splits_nor_on_two_sides_of_any_seed(run, lay_out, tmp_path):
    assert run(with_column(lay_out(), group=[f"p{n // 3}" for n in range(48)]), stratify=[])[0] == 0
    made = sides(tmp_path)
    assert (made.groupby("group")["split"].nunique() == 1).all()
    assert abs((made["part"] == "test").mean() - 0.25) < 0.07
    dev = load(tmp_path / "out" / "dev")
    names = made[made["part"] == "dev"]["group"].to_numpy()
    for seed in range(5):
        train, valid = train_valid(dev, 0.2, seed)
        assert not set(names[train]) & set(names[valid])


def test_a_split_by_folders_is_kept_too(run, tmp_path):
    rng = np.random.default_rng(0)
    for number in range(60):
        side = ("train", "train", "test")[number % 3]
        path = tmp_path / "raw" / side / "ab"[number // 3 % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(path)
    assert run(tmp_path / "raw", stratify=[])[0] == 0
    made = sides(tmp_path)
    assert (made["path"].str.startswith("test/") == (made["part"] == "test")).all()
    assert len(made) == 60


def test_a_copy_on_both_sides_of_the_users_split_stops_the_run(run, lay_out, tmp_path):
    data = with_column(lay_out(), split=["train"] * 24 + ["test"] * 24)
    shutil.copy(data / "000.png", data / "024.png")
    code, text = run(data, stratify=[])
    assert code == 2
    assert "000.png (train), 024.png (test)" in text
    assert not (tmp_path / "out" / "dev").exists()


def test_a_limit_keeps_some_of_each_side_of_the_users_split(run, lay_out, tmp_path):
    data = with_column(lay_out(), split=(["train"] * 6 + ["test"] * 2) * 6)
    assert run(data, stratify=[], max_images=40)[0] == 0
    assert sides(tmp_path)["part"].value_counts().to_dict() == {"dev": 30, "test": 10}


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_packed_arrays_are_prepared(run, tmp_path, kind):
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8)
    labels = np.array(["cat", "dog"] * 20)
    (raw := tmp_path / "raw").mkdir()
    if kind == "file":
        np.savez(raw / "photos.npz", images=images, labels=labels)
        raw /= "photos.npz"
    else:
        np.save(raw / "images.npy", images)
        np.save(raw / "labels.npy", labels)
    assert run(raw, stratify=[])[0] == 0
    for part in ("dev", "test"):
        made = sides(tmp_path)
        rows = made[made["part"] == part]["path"].str[-7:].astype(int)
        packed = load(tmp_path / "out" / part)
        assert (packed.images[..., 0] == images[rows]).all()
        assert [packed.classes[label] for label in packed.labels] == labels[rows].tolist()


def with_flaws(data):
    """Add to a folder of images what cannot be used; return the files' names."""
    lines = (data / "labels.csv").read_text().splitlines()
    (data / "empty.png").write_bytes(b"")
    (data / "half.png").write_bytes((data / "004.png").read_bytes()[:200])
    for copy in ("copy-a.png", "copy-b.png", "unlabelled.png"):
        Image.fromarray(
            np.random.default_rng(9 + (copy == "unlabelled.png")).integers(0, 255, (24, 24), np.uint8)
        ).save(data / copy)
    lines[5:5] = ["empty.png,low,a", "half.png,top,a", "gone.png,top,b", "../away.png,top,b"]
    lines += ["copy-a.png,low,a", "copy-b.png,top,a", "unlabelled.png,,a"]
    (data / "labels.csv").write_text("\n".join(lines) + "\n")
    return {"empty.png", "half.png", "gone.png", "../away.png", "copy-a.png", "copy-b.png", "unlabelled.png"}


def test_what_is_left_out_is_listed_and_the_rest_is_as_if_it_had_never_been_there(run, lay_out, prepared, tmp_path):
    bad = with_flaws(data := lay_out())
    assert run(data)[0] == 2
    assert run(data, on_problem="exclude")[0] == 0
    for folder in (prepared.dev, prepared.test):
        assert contents(folder) == contents(tmp_path / "out" / folder.name)
    summary = tmp_path / "out" / "summary"
    listed = pd.read_csv(summary / "excluded.csv")
    assert set(listed["path"]) == bad
    assert list(listed) == ["path", "reason"]
    told = json.loads((summary / "summary.json").read_text())
    kinds = {"cannot be used": 4, "copies with different labels": 2, "no label": 1}
    assert told["excluded"] == {"kinds": kinds, "first": listed.to_numpy().tolist()}
    assert told["images"] == 48
    said = "Left out: 7 image(s) (cannot be used: 4; copies with different labels: 2; no label: 1)"
    assert said in notes(tmp_path)
    clean = json.loads((prepared.summary / "summary.json").read_text())
    assert {key: told[key] for key in clean if key != "excluded"} == {k: v for k, v in clean.items() if k != "excluded"}


def test_where_nothing_is_left_out_the_list_is_a_header(prepared):
    assert (prepared.summary / "excluded.csv").read_text() == "path,reason\n"


def test_a_limit_takes_the_same_images_whatever_was_left_out(run, lay_out, tmp_path):
    clean = lay_out("clean")
    assert run(clean, max_images=41)[0] == 0
    before = contents(tmp_path / "out" / "dev")
    with_flaws(clean)
    assert run(clean, max_images=41, on_problem="exclude")[0] == 0
    assert contents(tmp_path / "out" / "dev") == before


def test_a_class_that_becomes_too_small_is_still_an_error(run, lay_out):
    data = lay_out()
    for number in range(0, 40, 2):
        (data / f"{number:03}.png").write_bytes(b"")
    code, text = run(data, on_problem="exclude")
    assert code == 2
    assert "'low' (4)" in text


def smooth(seed):
    """An image that a perceptual hash tells from others: a few waves."""
    y, x = np.mgrid[:64, :64] / 64
    rng = np.random.default_rng(seed)
    waves = sum(rng.normal() * np.cos(np.pi * (i * y + j * x) + rng.normal()) for i in range(5) for j in range(5))
    return Image.fromarray(np.uint8(255 * (waves - waves.min()) / np.ptp(waves)))


@pytest.fixture
def album(tmp_path):
    """Twenty photos of each of two classes, every second of them saved twice: smaller, and as a JPEG."""
    for number in range(40):
        image, folder = smooth(number), tmp_path / "album" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{number}.png")
        if number % 4 < 2:
            image.resize((48, 48), Image.Resampling.LANCZOS).save(folder / f"{number}-small.jpg", quality=70)
    return tmp_path / "album"


def test_images_that_look_alike_are_never_parted(run, album, tmp_path):
    assert run(album, stratify=[], near_duplicate_bits=None)[0] == 0
    made = sides(tmp_path)
    assert "group" not in made
    photo = made["path"].str.extract(r"/(\d+)")[0]
    assert (made.groupby(photo)["split"].nunique() > 1).any()
    assert run(album, stratify=[], near_duplicate_bits=8)[0] == 0
    made = sides(tmp_path)
    photo = made["path"].str.extract(r"/(\d+)")[0].to_numpy()
    assert (made.groupby(photo)["split"].nunique() == 1).all()
    assert made.groupby(photo)["group"].nunique().max() == 1
    assert made["group"].nunique() == 40
    dev, names = load(tmp_path / "out" / "dev"), photo[(made["part"] == "dev").to_numpy()]
    for seed in range(5):
        train, valid = train_valid(dev, 0.2, seed)
        assert not set(names[train]) & set(names[valid])
    assert "40 images are near duplicates, in 20 groups" in notes(tmp_path)


def test_an_image_that_looks_like_one_for_test_stops_the_run_or_is_left_out(run, album, tmp_path):
    for number in range(40):
        folder = tmp_path / "split" / ("test" if number < 12 else "train") / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(album / "ab"[number % 2] / f"{number}.png", folder)
    assert run(tmp_path / "split", stratify=[], near_duplicate_bits=8)[0] == 0
    before = contents(tmp_path / "out" / "dev")
    shutil.copy(album / "b" / "1-small.jpg", tmp_path / "split/train/b")
    code, text = run(tmp_path / "split", stratify=[], near_duplicate_bits=8)
    assert code == 2
    assert "train/b/1-small.jpg looks like a test image of your split: test/b/1.png (1 such image(s))" in text
    assert run(tmp_path / "split", stratify=[], near_duplicate_bits=8, on_problem="exclude")[0] == 0
    assert contents(tmp_path / "out" / "dev") == before
    (row,) = pd.read_csv(tmp_path / "out/summary/excluded.csv").to_numpy().tolist()
    assert row == ["train/b/1-small.jpg", "looks like a test image of your split: test/b/1.png"]


NAMES = [
    "ключ", "日本 語", "été", "עברית", "हिन्दी", "a,b", 'quo"te', "'", "#x", "100%", "e\u0301", "🦊", "a;b", " lead",
]  # fmt: skip


def test_names_in_any_script_and_with_any_sign_go_through_whole(run, tmp_path):
    labels = ["猫 (cat)", 'пёс, "dog"']
    for number in range(4 * len(NAMES)):
        path = tmp_path / "raw ✓" / labels[number % 2] / f"{NAMES[number // 4]}{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        smooth(number).save(path)
    (path.parent / "Ωmega\n.png").write_bytes(b"broken")
    assert run(tmp_path / "raw ✓", stratify=[], on_problem="exclude")[0] == 0
    made = sides(tmp_path)
    files = {str(p.relative_to(tmp_path / "raw ✓")) for p in (tmp_path / "raw ✓").rglob("*.png")}
    listed = pd.read_csv(tmp_path / "out/summary/excluded.csv")["path"].tolist()
    assert set(made["path"]) == files - set(listed)
    assert [name.split("/")[1] for name in listed] == ["Ωmega\n.png"]
    assert load(tmp_path / "out" / "dev").classes == tuple(sorted(labels))


def test_a_link_that_leads_out_of_the_folder_is_not_followed(run, lay_out, tmp_path):
    data = lay_out()
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(tmp_path / "secret.png")
    (data / "link.png").symlink_to(tmp_path / "secret.png")
    (data / "inside.png").symlink_to(data / "001.png")
    with (data / "labels.csv").open("a") as table:
        table.write("link.png,top,a\ninside.png,top,a\n")
    code, text = run(data)
    assert code == 2
    assert "link.png: leads out of the data folder" in text
    assert run(data, on_problem="exclude")[0] == 0
    assert pd.read_csv(tmp_path / "out/summary/excluded.csv")["path"].tolist() == ["link.png"]
    assert "inside.png" in set(sides(tmp_path)["path"])


def test_classes_without_an_image_stop_the_run_or_are_named_in_the_report(run, album, tmp_path):
    (album / "c").mkdir()
    (album / "d").mkdir()
    (album / "d" / "1.heic").write_bytes(b"not read")
    code, text = run(album, stratify=[])
    assert code == 2
    assert "2 class folder(s) hold no image: c (empty), d (1 other file(s) or folder(s), such as 1.heic)" in text
    assert run(album, stratify=[], on_problem="exclude")[0] == 0
    said = "Class folders without images are ignored: c (empty), d ("
    assert said in notes(tmp_path)
    assert load(tmp_path / "out" / "dev").classes == ("a", "b")


@pytest.mark.parametrize("content", [b"", b"not an image", saved(np.zeros((9, 9), np.uint8))])
def test_a_class_of_which_no_image_can_be_used_is_an_error_in_any_case(run, album, tmp_path, content):
    (album / "c").mkdir()
    for number in range(12):
        (album / "c" / f"{number}.png").write_bytes(content)
    for on_problem, said in (("error", "12 file(s) cannot be used"), ("exclude", "no image of 'c' (12) can be used")):
        code, text = run(album, stratify=[], on_problem=on_problem)
        assert code == 2
        assert said in text
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_classes_that_differ_in_case_stop_the_run_or_are_named_in_the_report(run, album, tmp_path):
    (album / "Fish").mkdir()
    (album / "fish").mkdir()
    for number in range(40):
        smooth(100 + number).save(album / ("Fish", "fish")[number % 2] / f"{number}.png")
    code, text = run(album, stratify=[])
    assert code == 2
    said = "classes whose names differ only in case or spaces: 'Fish' (20), 'fish' (20)"
    assert f"{said}; use one name per class" in text
    assert run(album, stratify=[], on_problem="exclude")[0] == 0
    assert f"There are {said}; they are treated as different classes." in notes(tmp_path)


def test_images_without_content_are_left_out_like_those_that_cannot_be_read(run, lay_out, tmp_path):
    data = lay_out()
    Image.new("L", (24, 24)).save(data / "000.png")
    Image.new("L", (1, 1)).save(data / "001.png")
    code, text = run(data)
    assert code == 2
    assert "000.png: has no content (black all over)" in text
    assert "001.png: has no content (a single pixel)" in text
    assert run(data, on_problem="exclude")[0] == 0
    assert pd.read_csv(tmp_path / "out/summary/excluded.csv").to_numpy().tolist() == [
        ["000.png", "cannot be used: has no content (black all over)"],
        ["001.png", "cannot be used: has no content (a single pixel)"],
    ]
