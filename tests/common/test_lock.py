import threading
import time

from pipeline.common.lock import one_process


def test_two_that_want_the_same_lock_take_turns(tmp_path, capsys):
    order = []

    def second():
        with one_process(tmp_path / "work" / "a.lock"):
            order.append("second")

    with one_process(tmp_path / "work" / "a.lock"):
        thread = threading.Thread(target=second)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert "another process is running this stage" in capsys.readouterr().err
