package dev.gptq.models.family;

import com.google.common.collect.ImmutableList;

/** The families that come with this module. */
public final class BuiltInFamilies implements FamilyProvider {

  @Override
  public ImmutableList<ModelFamily> families() {
    return ImmutableList.of(
        new LlamaFamily(),
        new MistralFamily(),
        new MixtralFamily(),
        new QwenFamily(),
        new GemmaFamily(),
        new PhiFamily(),
        new Phi2Family(),
        new SmolLmFamily(),
        new GraniteFamily(),
        new OlmoFamily(),
        new CohereFamily(),
        new GlmFamily(),
        new SeedOssFamily(),
        new ExaoneFamily(),
        new Exaone3Family(),
        new HunyuanFamily(),
        new ErnieFamily(),
        new StableLmFamily(),
        new StarCoderFamily(),
        new NemotronFamily(),
        new NanoChatFamily(),
        new FalconFamily(),
        new GptJFamily(),
        new QwenNextFamily(),
        new LfmFamily(),
        new Gemma4Family(),
        new GptOssFamily(),
        new GraniteMoeFamily(),
        new NemotronHFamily(),
        new FalconHFamily(),
        new ApertusFamily(),
        new Llama4Family(),
        new GlmMoeFamily(),
        new AfmoeFamily(),
        new MiniCpmFamily(),
        new PhiMoeFamily(),
        new ErnieMoeFamily(),
        new MiniMaxFamily(),
        new DeepSeekFamily(),
        new DotsFamily(),
        new OptFamily(),
        new BloomFamily(),
        new Gpt2Family(),
        new GptNeoxFamily());
  }
}
