package dev.gptq.quantizer.gguf;

import com.google.common.collect.ImmutableList;
import com.google.common.primitives.ImmutableDoubleArray;
import dev.gptq.backend.AttentionSpec;
import dev.gptq.formats.gguf.GgufMetadata;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.BlockSpec;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.LinearSpec;
import dev.gptq.models.family.RopeSpec;
import dev.gptq.models.family.Ropes;
import dev.gptq.models.family.Step;
import java.util.Optional;
import java.util.stream.Stream;

/** What a GGUF file says of the layers of Gemma 4 with a window and of those without. */
record GemmaLayers(DecoderSpec spec, ModelConfig config) {
  private static final String FULL = "full_attention";
  private static final String SLIDING = "sliding_attention";

  /** By what the frequencies of channels that do not turn are divided. */
  private static final float STILL = 1e30f;

  private static AttentionSpec attention(BlockSpec block) {
    return block.steps(Step.Attention.class).map(Step.Attention::spec).findFirst().orElseThrow();
  }

  private Stream<BlockSpec> blocks(boolean windowed) {
    return spec.blocks().stream().filter(block -> (attention(block).window() > 0) == windowed);
  }

  private ImmutableList<Integer> sizes(boolean windowed) {
    return blocks(windowed)
        .map(block -> attention(block).headSize())
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  private ImmutableList<RopeSpec> ropes(boolean windowed) {
    return blocks(windowed)
        .flatMap(block -> block.steps(Step.Rope.class))
        .map(Step.Rope::rope)
        .distinct()
        .collect(ImmutableList.toImmutableList());
  }

  private double theta(String kind) {
    return config.rope(kind).theta();
  }

  /** What llama.cpp does not compute. */
  Optional<String> refusal() {
    if (ListedWindows.of(spec).layers().stream().filter(size -> size > 0).distinct().count() != 1) {
      return Optional.of("layers have not all the same sliding_window, or none has one");
    }
    if (sizes(true).size() != 1 || sizes(false).size() != 1) {
      return Optional.of("per_layer_config has different sizes of heads in layers of one kind");
    }
    if (!ropes(true)
        .equals(ImmutableList.of(Ropes.plain(theta(SLIDING), sizes(true).getFirst())))) {
      return Optional.of("rope_parameters of sliding_attention are not plain ones");
    }
    RopeSpec full = ropes(false).getFirst();
    if (full.factor() != 1
        || full.beyond().isPresent()
        || !config.rope(FULL).type().equals("proportional")) {
      return Optional.of("rope_parameters of full_attention are not proportional ones");
    }
    if (spec.opening().steps().stream()
        .anyMatch(step -> step instanceof Step.Lookup own && own.rows() != spec.vocabulary())) {
      return Optional.of("vocab_size_per_layer_input is not vocab_size");
    }
    return Optional.empty();
  }

  /** By what the frequencies of layers without a window are divided. */
  float[] divisors() {
    ImmutableDoubleArray frequencies = ropes(false).getFirst().frequencies();
    float[] divisors = new float[frequencies.length()];
    for (int c = 0; c < divisors.length; c++) {
      double usual = Math.pow(theta(FULL), -(double) c / divisors.length);
      divisors[c] = frequencies.get(c) == 0 ? STILL : (float) (usual / frequencies.get(c));
    }
    return divisors;
  }

  void describe(GgufMetadata metadata, String prefix) {
    int full = sizes(false).getFirst();
    int windowed = sizes(true).getFirst();
    ListedWindows windows = ListedWindows.of(spec);
    metadata.put(prefix + "attention.key_length", full);
    metadata.put(prefix + "attention.value_length", full);
    metadata.put(prefix + "attention.key_length_swa", windowed);
    metadata.put(prefix + "attention.value_length_swa", windowed);
    metadata.put(prefix + "attention.sliding_window", windows.size(spec.context()));
    metadata.putTruths(prefix + "attention.sliding_window_pattern", windows.sliding());
    metadata.putInts(
        prefix + "attention.head_count_kv",
        spec.blocks().stream().map(block -> attention(block).keyValueHeads()).toList());
    metadata.putInts(
        prefix + "feed_forward_length", spec.blocks().stream().map(GemmaLayers::inner).toList());
    metadata.put(prefix + "rope.dimension_count", full);
    metadata.put(prefix + "rope.dimension_count_swa", windowed);
    metadata.put(prefix + "rope.freq_base", (float) theta(FULL));
    metadata.put(prefix + "rope.freq_base_swa", (float) theta(SLIDING));
  }

  private static int inner(BlockSpec block) {
    return block
        .linears()
        .filter(linear -> linear.module().equals("mlp.up_proj"))
        .mapToInt(LinearSpec::outputs)
        .sum();
  }
}
