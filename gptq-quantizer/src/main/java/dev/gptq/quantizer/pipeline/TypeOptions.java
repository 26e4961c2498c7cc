package dev.gptq.quantizer.pipeline;

import dev.gptq.formats.gguf.GgufType;
import dev.gptq.grid.GridSpec;
import dev.gptq.grid.Scheme;
import dev.gptq.grid.SuperBlock;
import dev.gptq.quantize.GptqOptions;
import dev.gptq.quantize.GroupStatistics;
import dev.gptq.tensor.DType;
import java.util.Optional;

/** Options whose grid and groups are those of a type of llama.cpp. */
final class TypeOptions {
  private static final int GROUP = 32;

  private TypeOptions() {}

  /** The same in all else; no type holds groups that lie scattered. */
  static GptqOptions of(GptqOptions options, GgufType type) {
    return switch (type) {
      case Q4_0 -> groups(options, Scheme.SYMMETRIC, 4);
      case Q4_1 -> groups(options, Scheme.ASYMMETRIC, 4);
      case Q5_0 -> groups(options, Scheme.SYMMETRIC, 5);
      case Q5_1 -> groups(options, Scheme.ASYMMETRIC, 5);
      case Q8_0 -> groups(options, Scheme.SYMMETRIC, 8);
      case Q2_K, Q3_K, Q4_K, Q5_K, Q6_K -> options.withBlocks(SuperBlock.valueOf(type.name()));
      case F32, F16, BF16, MXFP4 ->
          throw new IllegalArgumentException(type + " is no type of quantized modules");
    };
  }

  private static GptqOptions groups(GptqOptions options, Scheme scheme, int bits) {
    return new GptqOptions(
        new GridSpec(scheme, bits, options.grid().search(), DType.F16),
        GROUP,
        options.order(),
        true,
        options.damping(),
        options.blockSize(),
        GroupStatistics.CURRENT,
        options.refinement(),
        Optional.empty());
  }
}
