/** Certificates for servers of tests, made as they are needed: X.509 (RFC 5280) in DER, signed with ECDSA on P-256. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** Tag, length, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const bytes = (...values: number[]) => Buffer.from(values);
const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts);
const integer = (value: Uint8Array) => der(0x02, value);
const text = (value: string) => der(0x0c, Buffer.from(value));
const time = (value: string) => der(0x17, Buffer.from(value, 'latin1'));
const bits = (value: Uint8Array) => der(0x03, bytes(0), value);
const octets = (value: Uint8Array) => der(0x04, value);

/** Object identifiers, encoded. */
const identifiers = {
  ecdsa_with_sha256: der(0x06, bytes(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02)),
  common_name: der(0x06, bytes(0x55, 0x04, 0x03)),
  subject_alternative_name: der(0x06, bytes(0x55, 0x1d, 0x11)),
  basic_constraints: der(0x06, bytes(0x55, 0x1d, 0x13)),
};

const nameOf = (common: string) => sequence(der(0x31, sequence(identifiers.common_name, text(common))));
const algorithm = sequence(identifiers.ecdsa_with_sha256);
const isAuthority = sequence(
  identifiers.basic_constraints,
  der(0x01, bytes(0xff)),
  octets(sequence(der(0x01, bytes(0xff)))),
);
/** From 2000 until 2049, the last year of a UTCTime. */
const usual = ['000101000000Z', '491231235959Z'] as const;

interface Issuer {
  readonly name: string;
  readonly key: KeyObject;
}

interface Content {
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly issuer: Issuer;
  readonly extension: Uint8Array;
  readonly valid?: readonly [string, string] | undefined;
}

function certificate({ subject, publicKey, issuer, extension, valid = usual }: Content): string {
  const content = sequence(
    der(0xa0, integer(bytes(2))),
    integer(Buffer.concat([bytes(1), randomBytes(8)])),
    algorithm,
    nameOf(issuer.name),
    sequence(...valid.map(time)),
    nameOf(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extension)),
  );
  const whole = sequence(content, algorithm, bits(sign('sha256', content, issuer.key)));
  return `-----BEGIN CERTIFICATE-----\n${whole.toString('base64').replaceAll(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
}

const newKeys = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

export interface Authority {
  /** Its own certificate, PEM. */
  readonly certificate: string;
  /**
   * Key and certificate of a server, PEM.
   * @param valid from and until, as UTCTime: `yymmddhhmmssZ`
   */
  issue(host: string, valid?: readonly [string, string]): { readonly key: string; readonly cert: string };
}

export function newAuthority(name: string): Authority {
  const own = newKeys();
  const issuer = { name, key: own.privateKey };
  return {
    certificate: certificate({ subject: name, publicKey: own.publicKey, issuer, extension: isAuthority }),
    issue(host, valid) {
      const { privateKey, publicKey } = newKeys();
      const extension = sequence(
        identifiers.subject_alternative_name,
        octets(sequence(der(0x82, Buffer.from(host, 'latin1')))),
      );
      return {
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
        cert: certificate({ subject: host, publicKey, issuer, extension, valid }),
      };
    },
  };
}
