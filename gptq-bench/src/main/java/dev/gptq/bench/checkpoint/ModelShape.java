package dev.gptq.bench.checkpoint;

import com.google.common.collect.ImmutableList;
import tools.jackson.databind.node.ObjectNode;

/** The sizes of a published model: enough to write a checkpoint of its shape. */
public interface ModelShape {

  /** Its {@code config.json}. */
  ObjectNode config();

  /** Its tensors, in the order of the files. */
  ImmutableList<TensorShape> tensors();

  /** The type that it is published in. */
  WeightType type();

  /** The same with another number of blocks. */
  ModelShape withLayers(long count);

  /**
   * The shape of that name: {@code llama-2-7b}, {@code llama-3-8b}, {@code llama-3-70b}, {@code
   * llama-3-405b}, {@code qwen3-30b-a3b} with 128 experts a block, or {@code opt-175b-block}, which
   * has one of the 96 blocks of OPT-175B. {@code NAME:N} has N blocks.
   */
  static ModelShape named(String name) {
    int colon = name.indexOf(':');
    if (colon >= 0) {
      return named(name.substring(0, colon)).withLayers(Long.parseLong(name.substring(colon + 1)));
    }
    return switch (name) {
      case "llama-2-7b" ->
          new LlamaShape(4096, 32, 32, 32, 11008, 32_000, 4096, 10_000, WeightType.FLOAT16);
      case "llama-3-8b" ->
          new LlamaShape(4096, 32, 32, 8, 14336, 128_256, 8192, 500_000, WeightType.BFLOAT16);
      case "llama-3-70b" ->
          new LlamaShape(8192, 80, 64, 8, 28672, 128_256, 8192, 500_000, WeightType.BFLOAT16);
      case "llama-3-405b" ->
          new LlamaShape(16384, 126, 128, 8, 53248, 128_256, 8192, 500_000, WeightType.BFLOAT16);
      case "qwen3-30b-a3b" -> new QwenMoeShape(2048, 48, 32, 4, 128, 128, 8, 768, 151_936, 40_960);
      case "opt-175b-block" -> new OptShape(12288, 1, 96, 49152, 50_272, 2048);
      default ->
          throw new IllegalArgumentException(
              "no shape '"
                  + name
                  + "'; there are llama-2-7b, llama-3-8b, -70b and -405b, qwen3-30b-a3b and "
                  + "opt-175b-block");
    };
  }
}
