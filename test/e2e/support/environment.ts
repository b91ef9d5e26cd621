/** What the suite is told by its environment: image references. A scenario whose image is not named fails and says so. */

const images = {
  operator: "the operator (hack/image, Dockerfile)",
  operatorBefore: "an older operator, to upgrade from and to roll back to",
  kamailio: "Kamailio, of the pods of a router",
  asterisk: "Asterisk 18 or later (test/e2e/images)",
  phone: "baresip, SIPp, netcat and bash (test/e2e/images)",
  rtpengine: "rtpengine (test/e2e/images)",
} as const;
export type Image = keyof typeof images;

const variableOf = (image: Image): string =>
  `E2E_${image.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}_IMAGE`;

/** The reference of an image that the cluster has or can pull; throws when it is not named. */
export const imageOf = (image: Image): string => {
  const reference = process.env[variableOf(image)];
  if (reference) return reference;
  throw new Error(
    `${variableOf(image)} is not set: this scenario needs an image of ${images[image]}. Name one, or leave the scenario out by naming those to run: make e2e SCENARIOS="samples forward" (docs/testing.md).`,
  );
};

/** The chart of the older operator, a folder; when none is named, that of this tree is taken for both. */
export const chartBefore = (): string | undefined => process.env["E2E_OPERATOR_BEFORE_CHART"];

/** E2E_KEEP=1: what was made is left in the cluster, to look at. */
export const keeps = (): boolean => process.env["E2E_KEEP"] === "1";
