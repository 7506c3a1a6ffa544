"""A worker whose engine null takes as long as a GPU: `python -m brandpulse.bench.simulated_gpu_worker MILLISECONDS`."""

import sys

from stream_workers.run import DebugOptions, main

if __name__ == "__main__":
    sys.exit(main(DebugOptions(simulated_batch_seconds=float(sys.argv[1]) / 1_000)))
