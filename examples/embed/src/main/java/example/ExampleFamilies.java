package example;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableSet;
import dev.gptq.models.config.ModelConfig;
import dev.gptq.models.family.DecoderSpec;
import dev.gptq.models.family.FamilyProvider;
import dev.gptq.models.family.FeedForward;
import dev.gptq.models.family.LlamaLayout;
import dev.gptq.models.family.ModelFamily;
import dev.gptq.models.family.SelfAttention;

/** Models whose config.json says {@code "model_type": "example"}: Llama by another name. */
public class ExampleFamilies implements FamilyProvider {
  @Override
  public ImmutableList<ModelFamily> families() {
    return ImmutableList.of(new Example());
  }

  private static class Example implements ModelFamily {
    @Override
    public ImmutableSet<String> modelTypes() {
      return ImmutableSet.of("example");
    }

    @Override
    public DecoderSpec describe(ModelConfig config) {
      SelfAttention attention = SelfAttention.of(config, 0);
      FeedForward feedForward = LlamaLayout.feedForward(config, false);
      return LlamaLayout.decoder(
          "Example", config, false, layer -> LlamaLayout.block(config, attention, feedForward));
    }
  }
}
