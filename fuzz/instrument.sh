#!/bin/sh
# Stands before rustc: the code that reads files and writes JSON gets coverage
# counters, everything else is compiled as usual, in half the time.
case " $* " in
*" --crate-name etl_engine "* | *" --crate-name etl_fuzz "* | *" --crate-name parquet "*)
    exec "$@" --cfg=fuzzing \
        -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$@"
