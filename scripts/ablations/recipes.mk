# Ablations on validation splits; included by the Makefile.
.PHONY: ablation ablation-evidence ablation-linear ablation-ngrams ablation-image-starts

ablation: $(VENV)/.installed  ## compare ways to make a shorter text of a long one (DATA=, RUNS=)
	$(KEEP_MEMORY) $(LAUNCH) scripts.ablations.readings --dataset $(DATA)/text/imdb --max-rows 3000 \
		--localizer $(TEXT_LOCALIZER) --classifier $(RUNS)/minilm_crops --num-epochs 1 \
		$(MINILM) 5e-5 --output-dir $(RUNS)/ablation

# An hour on two cores, minutes where there is a GPU; only few reviews with a teacher.
ABLATE_EVIDENCE = $(KEEP_MEMORY) $(LAUNCH) scripts.ablations.evidence --dataset $(DATA)/text/imdb \
	--span-sets $(DATA)/text/imdb_rationales $(DATA)/text/movie_rationales \
	--embeddings $(ENCODER) --num-epochs 3 --output-dir $(RUNS)/ablation_evidence
ablation-evidence: $(VENV)/.installed  ## compare ways to make evidence agree with people (DATA=, RUNS=)
	$(ABLATE_EVIDENCE)
	$(ABLATE_EVIDENCE) --max-rows 1000 --teacher $(RUNS)/minilm_crops \
		--ideas default "teacher, sentences" "teacher, phrases" \
		--output results/ablation_evidence_teacher.json

# Both localizers learn without a linear model, which the comparison then adds.
ABLATE_LINEAR = $(KEEP_MEMORY) $(RUN) scripts.ablations.linear_ngrams --dataset $(DATA)/text/imdb \
	--span-sets $(DATA)/text/imdb_rationales $(DATA)/text/movie_rationales
ablation-linear: $(VENV)/.installed  ## compare linear models in a localizer (DATA=, RUNS=)
	$(TRAIN) --dataset $(DATA)/text/imdb $(AS_BEFORE) --embeddings $(ENCODER) \
		--output-dir $(RUNS)/localizer_imdb
	$(ABLATE_LINEAR) --localizer $(RUNS)/localizer_imdb
	$(TRAIN) --dataset $(DATA)/text/imdb --embeddings $(ENCODER) --teacher $(RUNS)/minilm_full \
		--num-epochs 2 --batch-size 64 --linear-weight 0 --output-dir $(RUNS)/localizer_taught
	$(ABLATE_LINEAR) --localizer $(RUNS)/localizer_taught --teacher $(RUNS)/minilm_full \
		--output results/ablation_taught_ngrams.json

ablation-ngrams: $(VENV)/.installed  ## compare ways to count n-grams, half an hour (DATA=)
	for set in imdb newsgroups20 cuad_windows; do \
		$(RUN) scripts.ablations.ngram_tables --dataset $(DATA)/text/$$set || exit 1; \
	done

ablation-image-starts: $(VENV)/.installed  ## compare starts of an image localizer, half an hour (DATA=, RUNS=)
	$(KEEP_MEMORY) $(RUN) scripts.ablations.image_starts --dataset $(DATA)/image/fod_a \
		--backbone $(RUNS)/lite0 --teacher $(RUNS)/lite0_full --num-epochs 3 $(RATES) \
		--output-dir $(RUNS)/image_starts
