package dev.gptq.hub;

import dev.gptq.hub.HubException.Reason;
import java.net.http.HttpHeaders;
import java.net.http.HttpResponse;
import java.util.Optional;

/** Says what an answer that is no success means, and what to do about it. */
final class Refusals {
  private final HubSettings settings;

  Refusals(HubSettings settings) {
    this.settings = settings;
  }

  /**
   * The exception for an answer.
   *
   * @param what what was asked for, as the subject of a sentence
   */
  HubException of(HttpResponse<?> response, Repo repo, String what) {
    HttpHeaders headers = response.headers();
    String code = headers.firstValue("X-Error-Code").orElse("");
    String said =
        headers.firstValue("X-Error-Message").map(m -> " (" + Text.printable(m) + ")").orElse("");
    int status = response.statusCode();
    return switch (code) {
      case "GatedRepo" -> gated(repo, said);
      case "RevisionNotFound" ->
          new HubException(
              Reason.NOT_FOUND,
              "%s: no such revision%s; see %s/%s/tree/main for branches and tags"
                  .formatted(what, said, settings.endpoint(), repo.page()));
      case "EntryNotFound" ->
          new HubException(
              Reason.NOT_FOUND,
              "%s: no such file%s; see %s/%s/tree/main"
                  .formatted(what, said, settings.endpoint(), repo.page()));
      default ->
          switch (status) {
            case 401 -> unauthorized(what, said);
            case 403 ->
                new HubException(
                    Reason.UNAUTHORIZED,
                    "%s: refused%s; %s needs the right to do this, see %s/settings/tokens"
                        .formatted(what, said, asker(), settings.endpoint()));
            case 404 -> missing(repo, what, said);
            case 429 ->
                new HubException(
                    Reason.UNREACHABLE,
                    "%s: the hub answers 429, too many requests%s; wait some minutes%s"
                        .formatted(
                            what,
                            said,
                            settings.token().isPresent()
                                ? ""
                                : ", or set HF_TOKEN, with which it allows more"));
            default ->
                new HubException(
                    status >= 500 ? Reason.UNREACHABLE : Reason.DAMAGED,
                    "%s: %s answers %d%s; %s"
                        .formatted(
                            what,
                            response.request().uri().getHost(),
                            status,
                            said,
                            status >= 500
                                ? "try again later; what came so far is kept"
                                : "is HF_ENDPOINT a hub?"));
          };
    };
  }

  private HubException gated(Repo repo, String said) {
    return new HubException(
        Reason.GATED,
        "%s is gated%s: open %s/%s, accept its terms, then %s"
            .formatted(
                repo,
                said,
                settings.endpoint(),
                repo.page(),
                settings
                    .token()
                    .map(t -> "wait until its owner lets in the account of the " + t)
                    .orElse(
                        "set HF_TOKEN to a token of that account from "
                            + settings.endpoint()
                            + "/settings/tokens")));
  }

  /** The hub answers 401 for what does not exist too, so that nobody can find out what does. */
  private HubException unauthorized(String what, String said) {
    Optional<Token> token = settings.token();
    if (token.isPresent()) {
      return new HubException(
          Reason.UNAUTHORIZED,
          "%s: the hub does not take the %s%s; make a new one at %s/settings/tokens"
              .formatted(what, token.get(), said, settings.endpoint()));
    }
    return new HubException(
        Reason.UNAUTHORIZED,
        "%s does not exist or is private%s; if it is yours, set HF_TOKEN to a token from"
                .formatted(what, said)
            + " %s/settings/tokens".formatted(settings.endpoint()));
  }

  private HubException missing(Repo repo, String what, String said) {
    return new HubException(
        Reason.NOT_FOUND,
        "%s: no such %s%s, or %s may not see it; look for it at %s/%s"
            .formatted(
                what,
                repo.kind().noun(),
                said,
                asker(),
                settings.endpoint(),
                repo.kind().plural()));
  }

  private String asker() {
    return settings.token().map(t -> "the " + t).orElse("who sends no token (HF_TOKEN)");
  }
}
