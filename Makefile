# One line each; the work is in scripts/.
.PHONY: help setup build run demo test lint e2e workloads bench soak clean

help:  ; @sed -n 's/^\([a-z0-9]*\): .*#: /  make \1\t/p' Makefile | grep -v 'make help'
setup: ; @scripts/setup.sh run test e2e       #: install what is missing (run and test do it themselves)
build: ; @scripts/setup.sh run && scripts/build.sh   #: the site, the server and the worker
run:   ; @scripts/run.sh                      #: chain, server, two workers and a first real job; Ctrl-C stops (DB=postgres: on a Postgres of its own; CHAIN=none)
demo:  ; @scripts/demo.sh                     #: a job is billed, verified offline, disputed and refunded
test:  ; @scripts/test.sh                     #: every check and test
lint:  ; @scripts/lint.sh                     #: format, lints, licences
e2e:   ; @scripts/test.sh e2e                 #: the journeys in a browser alone
workloads: ; @scripts/workloads.sh            #: PyTorch, Blender, a language model, Jupyter, Ray and a container, by their templates in a browser (fetches 2 GB)
bench: ; @scripts/bench.sh                    #: measure, beside a floor or a peer
soak:  ; @scripts/soak.sh                     #: the proofs of the books at full length (hours)
clean: ; @scripts/clean.sh                    #: remove what was built; data and tools stay
