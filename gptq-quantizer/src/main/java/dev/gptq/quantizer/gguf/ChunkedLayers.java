package dev.gptq.quantizer.gguf;

import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.NormSpec;
import dev.gptq.models.family.Step;
import dev.gptq.models.gguf.GgufFamilies;
import java.util.Optional;

/** What llama.cpp takes for granted of Llama 4. */
final class ChunkedLayers {
  private static final int CHUNK = 8192;

  /** Of layers without positions, in words of the configuration. */
  private static final Step.Temper GROWING = new Step.Temper("q", 1, CHUNK, 0.1);

  private ChunkedLayers() {}

  /** What it does not compute. */
  static Optional<String> refusal(DecoderSpec spec, ModelConfig config) {
    int every = config.intValue("interleave_moe_layer_step", 1);
    boolean normalised =
        config.anyInt("num_local_experts", "num_experts") != GgufFamilies.PLAIN_HEADS;
    for (int layer = 0; layer < spec.blocks().size(); layer++) {
      BlockSpec block = spec.blocks().get(layer);
      boolean rotated = BlockKinds.rotates(block);
      int chunk = rotated ? CHUNK : 0;
      if (block.steps().stream()
          .anyMatch(step -> step instanceof Step.Attention a && a.chunk() != chunk)) {
        return Optional.of("layer_types of layer %d is another".formatted(layer));
      }
      if (rotated == block.steps().contains(GROWING)) {
        return Optional.of("attn_temperature_tuning is off");
      }
      if (rotated && normalised != hasPlainNorm(block)) {
        return Optional.of("use_qk_norm is " + !normalised);
      }
      if (block.hasExperts() != ((layer + 1) % every == 0)) {
        return Optional.of("moe_layers are others than interleave_moe_layer_step says");
      }
    }
    return Optional.empty();
  }

  private static boolean hasPlainNorm(BlockSpec block) {
    return block.steps().stream()
        .anyMatch(step ->
            step instanceof Step.Norm norm && norm.kind().kind() == NormSpec.Kind.RMS_PLAIN);
  }
}
