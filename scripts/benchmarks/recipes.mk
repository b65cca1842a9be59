# Benchmarks: the numbers in results/ and the tables made of them; included by the Makefile.
BENCHMARKS = bench-text bench-image bench-speed bench-quick bench-backends bench-int8 \
	bench-cold-start bench-serving bench-hostile bench-long-input bench-scale bench-demo bench-evidence \
	bench-seeds bench-few-labels bench-builds tables
.PHONY: $(BENCHMARKS)
$(BENCHMARKS): $(VENV)/.installed

define WRITE_TABLES
$(RUN) scripts.benchmarks.fill_cards
$(RUN) scripts.benchmarks.report
endef

tables:  ## write the numbers of results/ into README and cards
	$(WRITE_TABLES)

bench-text:  ## measure the shipped text models only (DATA=, RUNS=)
	$(RUN) scripts.benchmarks.text_measurement \
		--localizer $(TEXT_LOCALIZER) --dataset $(DATA)/text/imdb \
		--classifiers spans=$(DEFAULTS)/text_classifier
	$(WRITE_TABLES)

bench-image:  ## measure the shipped image localizer only (DATA=)
	$(RUN) scripts.benchmarks.image_measurement \
		--localizer $(IMAGE_LOCALIZER) --dataset $(DATA)/image/fod_a
	$(WRITE_TABLES)

SPEED = $(KEEP_MEMORY) $(RUN) scripts.benchmarks.speed
# Long reviews are read by models of IMDb reviews, so that their rivals learn from these, too. Their
# cascade is that of IMDb reviews: calibrated on long ones, it would never ask its classifier.
REVIEWS = --fit-on $(DATA)/text/imdb --encoder $(ENCODER) --localizer $(TEXT_LOCALIZER) \
	--classifiers $(foreach reading,full mix,$(reading)=$(RUNS)/minilm_$(reading)) \
		$(foreach reading,crop head tfidf textrank,$(reading)=$(RUNS)/minilm_crops)
IMDB = $(REVIEWS) --dataset $(DATA)/text/imdb --max-rows 5000 \
	--cascades cascade=$(RUNS)/cascade_imdb quick_cascade=$(RUNS)/cascade_imdb_quick \
		shipped_cascade=$(RUNS)/cascade_shipped
# Of 64 timed photos, so many more or fewer are in doubt by chance that cascades look a third dearer.
PHOTOS = --dataset $(DATA)/image/fod_a --localizer $(IMAGE_LOCALIZER) --num-timed 192 --rounds 3 \
	--cascades cascade=$(RUNS)/cascade_fod_a quick_cascade=$(RUNS)/cascade_fod_a_quick \
	--classifiers small=$(RUNS)/lite0_small_96 \
		$(foreach reading,full small_64 small_128,$(reading)=$(RUNS)/lite0_$(reading)) \
		$(foreach reading,patches centre random oracle,$(reading)=$(IMAGE_CLASSIFIER))
# `full` is the largest size that the rival was trained at.
MEGAPIXEL = --dataset $(SHEETS)_1500 --localizer $(RUNS)/localizer_megapixel_mnist \
	--classifiers full=$(RUNS)/sheets_full_448 small_224=$(RUNS)/sheets_full_224 \
		small=$(RUNS)/sheets_small \
		$(foreach reading,patches centre random oracle,$(reading)=$(RUNS)/sheets_patches)
PANEL_MODELS = $(PANELS) --localizer $(RUNS)/localizer_pcb_panels \
	--cascades cascade=$(RUNS)/cascade_pcb_panels \
	--classifiers full=$(RUNS)/panels_full_448 small_224=$(RUNS)/panels_full_224 \
		small=$(RUNS)/panels_small \
		$(foreach reading,patches centre random oracle,$(reading)=$(RUNS)/panels_patches)
QUICK = --num-counted 50 --num-timed 8 --rounds 3
# Long texts are compared with all their windows.
LONG_TEXTS = --baseline windows --num-timed 16
ON_ONNX = --backend onnx --threads 1 --times-only True

bench-speed:  ## compare what MiniLM and EfficientNet-Lite0 may read (DATA=, RUNS=)
	$(SPEED) $(IMDB) --output results/speed_imdb.json
	$(SPEED) $(IMDB) $(ON_ONNX) --output results/speed_imdb_onnx.json \
		--methods full localizer spans_and_localizer cascade quick_cascade shipped_cascade
	$(SPEED) $(REVIEWS) --dataset $(DATA)/text/movie_rationales $(LONG_TEXTS) \
		--output results/speed_movie_rationales.json --cascades cascade=$(RUNS)/cascade_imdb
	for set in newsgroups20 cuad_windows; do \
		$(SPEED) --dataset $(DATA)/text/$$set --max-rows 2000 $(LONG_TEXTS) \
			--output results/speed_$$set.json --localizer $(RUNS)/localizer_$$set \
			--encoder $(ENCODER) \
			--cascades cascade=$(RUNS)/cascade_$$set \
			--classifiers full=$(RUNS)/minilm_$$set || exit 1; \
	done
	$(SPEED) $(PHOTOS) --output results/speed_fod_a.json
	$(SPEED) $(PHOTOS) $(ON_ONNX) --output results/speed_fod_a_onnx.json
	$(SPEED) $(MEGAPIXEL) $(QUICK) --threads 1 --output results/speed_megapixel_mnist.json
	$(SPEED) $(PANEL_MODELS) $(QUICK) --threads 1 --output results/speed_pcb_panels.json
	$(EVALUATE) $(PANELS) --model $(RUNS)/localizer_pcb_panels \
		--faithfulness False --output results/boxes_pcb_panels.json
	$(WRITE_TABLES)

bench-quick:  ## the same on few rows with the shipped models, minutes (DATA=)
	$(SPEED) --dataset $(DATA)/text/imdb --max-rows 200 $(QUICK) \
		--localizer $(TEXT_LOCALIZER) --output $(RUNS)/quick_imdb.json --rivals nb_lr tfidf_svm \
		--classifiers full=$(DEFAULTS)/text_classifier
	$(SPEED) --dataset $(DATA)/image/fod_a --max-rows 100 $(QUICK) \
		--localizer $(IMAGE_LOCALIZER) --output $(RUNS)/quick_fod_a.json \
		--classifiers full=$(IMAGE_CLASSIFIER)

bench-backends:  ## compare eager, compiled and ONNX localizers, minutes
	$(KEEP_MEMORY) $(RUN) scripts.benchmarks.backends --rounds $(or $(ROUNDS),20) --note "$(NOTE)"

bench-int8:  ## compare the shipped localizers with graphs of 8-bit weights (DATA=)
	for kind in text/imdb image/fod_a; do \
		localizer=$${kind%/*}_localizer; \
		$(ANCHORNET) export --model $(DEFAULTS)/$$localizer --int8 \
			--dataset $(DATA)/$$kind --output $(RUNS)/$$localizer.onnx \
			> results/int8_$${kind%/*}.json || exit 1; \
	done
	$(RUN) scripts.benchmarks.report

bench-cold-start:  ## compare a first answer with loading a plain model, minutes
	$(RUN) scripts.benchmarks.cold_start

bench-serving:  ## load the server for a quarter of an hour (DATA=)
	$(RUN) scripts.benchmarks.serving --dataset $(DATA)/text/imdb/test.parquet \
		--warm-up-seconds 120 --note "$(NOTE)"

bench-hostile:  ## send hostile images, texts and slow bodies to the server, two minutes
	$(RUN) scripts.benchmarks.hostile --note "$(NOTE)"

bench-long-input:  ## memory and time up to 1 M tokens and 400 M pixels, minutes
	$(RUN) scripts.benchmarks.long_input

# On an idle machine: about an hour, half of it the fuzzing.
bench-scale: bench-long-input bench-serving  ## processes, streams, corpora, serving, fuzzing (DATA=)
	$(RUN) scripts.benchmarks.training
	$(RUN) scripts.benchmarks.corpus --dataset $(DATA)/text/imdb/test.parquet
	$(RUN) scripts.benchmarks.streaming
	$(RUN) scripts.fuzz --cases 10000000 --processes 2
	$(RUN) scripts.benchmarks.report

bench-demo:  ## time the web demo in Chromium and take its picture
	DEMO_RECORD=. $(PYTEST) -m slow tests/demo/test_page.py -k second

EVALUATE = $(KEEP_MEMORY) $(ANCHORNET) evaluate
OTHERS = integrated_gradients occlusion lime
PARTS = span_shapley sentence_shapley sentence_shapley_in_context
EXPLAINERS = --calibration-split validation \
	--explainers evidence refined_evidence integrated_gradients lime random
LINEAR = $(RUN) scripts.benchmarks.linear_evidence --calibration-split validation \
	--explainers evidence random
TWEETS = --spans-column spans_repaired --only-labels positive negative --true-labels True --mass 0.3
SHORT_EXPLAINERS = $(OTHERS) shapley attention_rollout span_shapley random
TOXIC = --only-labels toxic --true-labels True --mass 0.1 --max-explained 1000
bench-evidence:  ## judge explanations: agreement, faithfulness, cost (DATA=, RUNS=)
	$(EVALUATE) --dataset $(DATA)/text/movie_rationales --model $(TEXT_LOCALIZER) --smoothing 3 \
		$(EXPLAINERS) --output results/evidence_movie_rationales.json
	$(EVALUATE) --dataset $(DATA)/text/imdb_rationales --model $(TEXT_LOCALIZER) \
		$(EXPLAINERS) --output results/evidence_imdb_rationales.json
	$(EVALUATE) --dataset $(DATA)/text/imdb_rationales --model $(RUNS)/minilm_full --max-explained 40 \
		--explainers $(OTHERS) shapley attention_rollout $(PARTS) random \
		--parts-localizer $(TEXT_LOCALIZER) \
		--output results/evidence_imdb_rationales_minilm.json
	$(EVALUATE) --dataset $(DATA)/text/movie_rationales --model $(RUNS)/minilm_full \
		--max-explained 40 --smoothing 3 --parts-localizer $(TEXT_LOCALIZER) \
		--explainers integrated_gradients lime attention_rollout $(PARTS) random \
		--output results/evidence_movie_rationales_minilm.json
	mkdir -p $(RUNS)/cascade_shipped
	cp -r $(TEXT_LOCALIZER)/. $(DEFAULTS)/text_cascade/. $(RUNS)/cascade_shipped
	$(EVALUATE) --dataset $(DATA)/text/imdb_rationales --model $(RUNS)/cascade_shipped \
		--max-explained 200 --explainers evidence answer occlusion lime random \
		--output results/evidence_imdb_rationales_cascade.json
	$(EVALUATE) --dataset $(DATA)/text/movie_rationales --model $(RUNS)/cascade_shipped \
		--max-explained 100 --smoothing 3 --explainers evidence answer lime random \
		--output results/evidence_movie_rationales_cascade.json
	$(EVALUATE) --dataset $(DATA)/image/fod_a --model $(RUNS)/cascade_fod_a --max-explained 40 \
		--explainers evidence answer lime random \
		--output results/evidence_fod_a_cascade.json
	$(EVALUATE) --dataset $(DATA)/text/tweet_sentiment_extraction $(TWEETS) \
		--model $(RUNS)/localizer_tweet_sentiment_extraction $(EXPLAINERS) \
		--output results/evidence_tweet_sentiment_extraction.json
	$(EVALUATE) --dataset $(DATA)/text/toxic_spans_civil $(TOXIC) \
		--model $(RUNS)/localizer_toxic_spans_civil $(EXPLAINERS) \
		--output results/evidence_toxic_spans_civil.json
	set -e; for set in "tweet_sentiment_extraction $(TWEETS)" "toxic_spans_civil $(TOXIC)"; do \
		name=$${set%% *}; \
		$(EVALUATE) --dataset $(DATA)/text/$$set --max-explained 200 \
			--model $(RUNS)/cascade_$$name --explainers evidence answer occlusion lime random \
			--output results/evidence_$${name}_cascade.json; \
		$(EVALUATE) --dataset $(DATA)/text/$$set --max-explained 100 \
			--model $(RUNS)/minilm_$$name --parts-localizer $(RUNS)/localizer_$$name \
			--explainers $(SHORT_EXPLAINERS) --output results/evidence_$${name}_minilm.json; \
	done
	$(LINEAR) --dataset $(DATA)/text/movie_rationales --fit-on $(DATA)/text/imdb --smoothing 3 \
		--output results/evidence_movie_rationales_linear.json
	$(LINEAR) --dataset $(DATA)/text/imdb_rationales --fit-on $(DATA)/text/imdb \
		--output results/evidence_imdb_rationales_linear.json
	$(LINEAR) --dataset $(DATA)/text/tweet_sentiment_extraction $(TWEETS) \
		--output results/evidence_tweet_sentiment_extraction_linear.json
	$(LINEAR) --dataset $(DATA)/text/toxic_spans_civil $(TOXIC) \
		--output results/evidence_toxic_spans_civil_linear.json
	$(EVALUATE) --dataset $(DATA)/image/fod_a --model $(IMAGE_LOCALIZER) --max-explained 40 \
		--explainers evidence $(OTHERS) shapley grad_cam random --output results/evidence_fod_a.json
	$(EVALUATE) --dataset $(DATA)/image/fod_a --model $(RUNS)/lite0_full --max-explained 40 \
		--explainers $(OTHERS) grad_cam patch_shapley random \
		--parts-localizer $(IMAGE_LOCALIZER) --output results/evidence_fod_a_lite0.json
	$(RUN) scripts.benchmarks.retrieval --dataset $(DATA)/text/cuad_insurance \
		--model $(RUNS)/localizer_cuad_insurance --label present \
		--output results/retrieval_cuad_insurance.json
	$(WRITE_TABLES)

bench-seeds:  ## train and judge localizers of three seeds, five hours (DATA=, RUNS=)
	for seed in 0 1 2; do \
		$(TRAIN_REVIEWS) --seed $$seed --output-dir $(RUNS)/reviews_$$seed && \
		$(EVALUATE) --dataset $(DATA)/text/imdb_rationales --model $(RUNS)/reviews_$$seed \
			--explainers evidence refined_evidence --output $(RUNS)/reviews_$$seed.json && \
		$(EVALUATE) --dataset $(DATA)/text/movie_rationales --model $(RUNS)/reviews_$$seed \
			--smoothing 3 --explainers evidence refined_evidence \
			--output $(RUNS)/long_reviews_$$seed.json && \
		$(TRAIN_TWEETS) --seed $$seed --output-dir $(RUNS)/tweets_$$seed && \
		$(EVALUATE) --dataset $(DATA)/text/tweet_sentiment_extraction $(TWEETS) \
			--model $(RUNS)/tweets_$$seed --explainers evidence refined_evidence \
			--output $(RUNS)/tweets_$$seed.json && \
		$(TRAIN_TOXIC) --seed $$seed --output-dir $(RUNS)/toxic_$$seed && \
		$(EVALUATE) --dataset $(DATA)/text/toxic_spans_civil $(TOXIC) \
			--model $(RUNS)/toxic_$$seed --explainers evidence refined_evidence \
			--output $(RUNS)/toxic_$$seed.json && \
		$(TRAIN_PHOTOS) $(SIDE_160) --seed $$seed --output-dir $(RUNS)/photos_$$seed && \
		$(call READ_AT,160,176,$(RUNS)/photos_$$seed) && \
		$(EVALUATE) --dataset $(DATA)/image/fod_a --model $(RUNS)/photos_$$seed \
			--max-explained 200 --output $(RUNS)/photos_$$seed.json || exit 1; \
	done
	$(RUN) scripts.benchmarks.seeds --reports $(RUNS)/reviews_*.json \
		--output results/seeds_imdb_rationales.json
	$(RUN) scripts.benchmarks.seeds --reports $(RUNS)/long_reviews_*.json \
		--output results/seeds_movie_rationales.json
	$(RUN) scripts.benchmarks.seeds --reports $(RUNS)/tweets_*.json \
		--output results/seeds_tweet_sentiment_extraction.json
	$(RUN) scripts.benchmarks.seeds --reports $(RUNS)/toxic_*.json \
		--output results/seeds_toxic_spans_civil.json
	$(RUN) scripts.benchmarks.seeds --reports $(RUNS)/photos_*.json \
		--output results/seeds_fod_a.json
	$(WRITE_TABLES)

bench-few-labels:  ## compare with SetFit and others on few labels, two hours (DATA=)
	$(RUN) pip install 'setfit>=1.1'
	$(RUN) scripts.benchmarks.few_labels --dataset $(DATA)/text/imdb --encoder $(ENCODER) \
		--draws 3 --test-rows 1000

bench-builds:  ## build from small draws of four sets, beside a linear model, an hour (DATA=)
	$(RUN) scripts.benchmarks.builds --sets $(DATA)/text/newsgroups20=1400 \
		$(DATA)/text/toxic_spans_civil=5500 $(DATA)/text/imdb=1200 \
		$(DATA)/image/tiny_imagenet_40=2000
