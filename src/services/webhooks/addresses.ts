/**
 * Which addresses a webhook may be sent to: those of the public internet. A name is resolved once, every address that it
 * has is checked, and the connection is made to the address that was checked, so that a name cannot mean one thing when it
 * is checked and another when it is used.
 */
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';

export interface Address {
  readonly address: string;
  readonly family: number;
}

export type Resolve = (host: string) => Promise<readonly Address[]>;

/** IANA's special-purpose registry: everything that is not globally reachable, multicast and reserved addresses too. */
const special4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
];

/** Within global unicast, 2000::/3: protocol assignments with Teredo, documentation, 6to4, AS112, SRv6 documentation. */
const special6 = ['2001::/23', '2001:db8::/32', '2002::/16', '2620:4f:8000::/48', '3fff::/20'];

function blockList(subnets: readonly string[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network, prefix] = subnet.split('/');
    list.addSubnet(network as string, Number(prefix), family);
  }
  return list;
}

const notPublic4 = blockList(special4, 'ipv4');
const notPublic6 = blockList(special6, 'ipv6');
const globalUnicast = blockList(['2000::/3'], 'ipv6');

/** Only what is known to be public is: IPv4 inside of IPv6 (::ffff:…, 64:ff9b::…) is outside of global unicast. */
export function isPublic(address: string): boolean {
  if (isIP(address) === 4) return !notPublic4.check(address, 'ipv4');
  return isIP(address) === 6 && globalUnicast.check(address, 'ipv6') && !notPublic6.check(address, 'ipv6');
}

/** The host of a URL without the brackets of an IPv6 address and the dot at the end of a name. */
export const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '');

/** What can be said of a host without asking anybody: an address that is not public, or a name of this machine. */
export function isPlainlyPrivate(url: URL): boolean {
  const host = hostOf(url);
  return isIP(host) === 0 ? host === 'localhost' || host.endsWith('.localhost') : !isPublic(host);
}

export const resolveHost: Resolve = (host) => lookup(host, { all: true });

/** A webhook was not sent, or not accepted: why, in words for its owner. */
export class DeliveryError extends Error {
  /** The receiver's answer, where there was one. */
  readonly status: number | null;

  constructor(message: string, status: number | null = null, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
  }
}

/**
 * The address to connect to.
 * @throws {DeliveryError} when the name has none, or one of its addresses is not public
 */
export async function addressFor(url: URL, resolve: Resolve, allowPrivate: boolean): Promise<Address> {
  const host = hostOf(url);
  const addresses = await resolve(host).catch((cause: unknown) => {
    throw new DeliveryError('the host has no address', null, { cause });
  });
  const [first] = addresses;
  if (first === undefined) throw new DeliveryError('the host has no address');
  if (!allowPrivate && !addresses.every(({ address }) => isPublic(address))) {
    throw new DeliveryError('the host has an address that is not public, which this service does not send to');
  }
  return first;
}
