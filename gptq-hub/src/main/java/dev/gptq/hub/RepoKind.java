package dev.gptq.hub;

/** What a repository holds. */
public enum RepoKind {
  /** A model. */
  MODEL("model", "models", ""),
  /** A data set. */
  DATASET("data set", "datasets", "datasets/");

  private final String noun;
  private final String plural;
  private final String webPrefix;

  RepoKind(String noun, String plural, String webPrefix) {
    this.noun = noun;
    this.plural = plural;
    this.webPrefix = webPrefix;
  }

  /** As people say it. */
  String noun() {
    return noun;
  }

  /** As it stands in addresses of the API, in names of cache folders and before names. */
  String plural() {
    return plural;
  }

  /** What stands before a name in addresses of pages and files. */
  String webPrefix() {
    return webPrefix;
  }
}
