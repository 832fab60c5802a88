// Names for services that were given none: an adjective and a noun.
import { type Random, randomInt } from '../../proto/lib/random.ts'

const adjectives =
  'able amber brave brisk bright calm civil clear clever cosmic crisp daring deep eager early fair fast fine firm fond frank fresh gentle glad golden grand happy honest humble jolly keen kind light lively loyal lucid lucky merry mild modest noble patient plain proud quick quiet rapid ready rich royal sharp silent simple sleek smart solid steady still stout strong sunny swift tidy true vivid warm wise witty young zesty'.split(
    ' ',
  )

const nouns =
  'acorn anchor arrow aspen badger beacon birch bison bridge brook candle canyon cedar cliff clover comet compass condor coral crane delta dolphin dune eagle ember falcon fern finch fjord flint forest garnet glacier harbor hawk heron island ivy jasper juniper kestrel lagoon lantern lark lynx maple meadow mesa moose nebula oak opal orbit osprey otter owl pebble pine planet prairie quartz raven reef ridge river robin sparrow spruce summit thistle tiger valley walnut willow wren'.split(
    ' ',
  )

/** For example "swift_otter". */
export function randomServiceName(random: Random): string {
  return `${adjectives[randomInt(random, adjectives.length)]}_${nouns[randomInt(random, nouns.length)]}`
}
