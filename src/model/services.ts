/** Services and EndpointSlices, as far as destinations come from them: of unknown content (files of a folder) to typed, or what is wrong. */
import { z } from "zod";
import { keyOf, pathOf, type RawObject } from "../api/index.ts";

const text = z.string().nullish();

const service = z.object({
  spec: z
    .object({
      ports: z.array(z.object({ name: text, port: z.number(), protocol: text })).nullish(),
      ipFamilies: z.array(z.string()).nullish(),
    })
    .nullish(),
});
const slice = z.object({
  addressType: text,
  ports: z.array(z.object({ name: text, port: z.number().nullish(), protocol: text })).nullish(),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()).nullish(),
        conditions: z
          .object({
            ready: z.boolean().nullish(),
            serving: z.boolean().nullish(),
            terminating: z.boolean().nullish(),
          })
          .nullish(),
      }),
    )
    .nullish(),
});

export type Service = z.output<typeof service>;
export type ServicePort = NonNullable<NonNullable<NonNullable<Service["spec"]>["ports"]>[number]>;
export type Slice = z.output<typeof slice>;

/** A text: why the object cannot be used, and the remedy. */
export type Read<Shape extends object> = Shape | string;

/** Objects are never changed, only replaced: what was read once is known. */
const reader = <Shape extends object>(shape: z.ZodType<Shape>): ((object: RawObject) => Read<Shape>) => {
  const known = new WeakMap<RawObject, Read<Shape>>();
  return (object) => {
    const found = known.get(object) ?? read(shape, object);
    known.set(object, found);
    return found;
  };
};

function read<Shape extends object>(shape: z.ZodType<Shape>, object: RawObject): Read<Shape> {
  const parsed = shape.safeParse(object);
  if (parsed.success) return parsed.data;
  const [first] = parsed.error.issues;
  const what = (first?.message ?? "").replace(/^Invalid input: /, "");
  return `${object.kind} ${keyOf(object)} cannot be read at ${pathOf(first?.path ?? [])}, ${what}: correct it.`;
}

export const readService = reader<Service>(service);
export const readSlice = reader<Slice>(slice);
