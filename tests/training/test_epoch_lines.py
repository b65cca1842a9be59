"""What a training prints."""

from hf_anchornet.training.epoch_lines import describe_epoch, summarize_training

HISTORY = [
    {"epoch": 1, "train_loss": 0.7, "accuracy": 0.9, "loss": 0.4},
    {"epoch": 2, "train_loss": 0.5, "accuracy": 0.8, "loss": 0.45},
]


def test_a_line_tells_the_losses_the_score_and_the_best_so_far():
    assert describe_epoch(HISTORY[:1], "accuracy", 3) == (
        "epoch 1 of 3: training loss 0.7000, validation loss 0.4000, accuracy 0.9000; "
        "best accuracy 0.9000 now"
    )
    assert describe_epoch(HISTORY, "accuracy", 3).endswith("best accuracy 0.9000 in epoch 1")


def test_the_summary_tells_of_how_many_rows_the_score_is():
    report = {
        "options": {"output_dir": "runs/one", "metric_for_best_model": "accuracy"},
        "data": {"validation_split": "dev", "num_validation_rows": 1200},
        "best": HISTORY[0],
        "history": HISTORY,
        "ended": {"epoch": 2, "reason": "patience"},
    }
    assert summarize_training(report) == (
        "saved runs/one: accuracy 0.9000 on 1,200 rows of split dev, best of epoch 1 of 2 "
        "(patience)"
    )
