package dev.gptq.quantizer.tune;

import dev.gptq.grid.GridSpec;
import dev.gptq.pack.PackedMatrix;
import java.util.function.Supplier;

/**
 * A quantized module that is to be tuned.
 *
 * @param spec of its grid, with the bits that scales are stored with
 * @param groups number of groups
 * @param packed its codes and scales; a rehearsal does not ask for them
 */
public record KeptGrid(GridSpec spec, int groups, Supplier<PackedMatrix> packed) {}
