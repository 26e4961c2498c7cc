package dev.gptq.cli.options;

import dev.gptq.models.evaluation.Loading;
import picocli.CommandLine.Option;

/** The option that says how a model that is measured comes into memory. */
public final class LoadingOption {
  @Option(
      names = "--load",
      paramLabel = "HOW",
      description =
          "whole: with all weights in the backend's memory; blocks: with those of one block at a"
              + " time, so that the model can be larger than that; auto: whole if it fits (default:"
              + " auto)")
  private Loading loading = Loading.AUTO;

  /** What was asked for. */
  public Loading loading() {
    return loading;
  }
}
