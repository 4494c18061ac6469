"""Laws of trees by path."""

from emotion_jax.trees import by_path, map_by_path

TREE = {"trunk": {"stem": {"kernel": 1, "bias": 2}}, "heads": [3, {"output": 4}]}


def test_leaves_go_by_their_paths():
    assert by_path(TREE) == {
        "heads/0": 3,
        "heads/1/output": 4,
        "trunk/stem/bias": 2,
        "trunk/stem/kernel": 1,
    }


def test_a_map_of_leaves_by_path_keeps_the_tree():
    made = map_by_path(lambda path, leaf: leaf * len(path), TREE)
    assert made == {
        "trunk": {"stem": {"kernel": 17, "bias": 30}},
        "heads": [21, {"output": 56}],
    }
    assert map_by_path(by_path(TREE).get, TREE) == TREE
