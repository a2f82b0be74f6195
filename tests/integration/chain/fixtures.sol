// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

/// What tests put beside the venues' own contracts: price feeds that can be set, a contract that
/// answers whatever it is asked with nothing, and one that calls several others at once, with the
/// interface of Multicall3.

contract Feed {
  uint8 public immutable decimals;
  uint80 public round;
  int256 public latestAnswer;
  uint256 public updatedAt;

  event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

  constructor(uint8 scale, int256 answer) {
    decimals = scale;
    set(answer);
  }

  function set(int256 answer) public {
    latestAnswer = answer;
    updatedAt = block.timestamp;
    emit AnswerUpdated(answer, ++round, block.timestamp);
  }

  function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
    return (round, latestAnswer, updatedAt, updatedAt, round);
  }
}

contract Multicall {
  struct Call {
    address target;
    bool allowFailure;
    bytes callData;
  }

  struct Result {
    bool success;
    bytes returnData;
  }

  function aggregate3(Call[] calldata calls) external payable returns (Result[] memory results) {
    results = new Result[](calls.length);
    for (uint256 i = 0; i < calls.length; ++i) {
      (results[i].success, results[i].returnData) = calls[i].target.call(calls[i].callData);
      require(results[i].success || calls[i].allowFailure, 'Multicall3: call failed');
    }
  }
}

contract PlainFeed {
  uint256 public price;
  bool public works = true;

  constructor(uint256 first) {
    price = first;
  }

  function set(uint256 next) external {
    price = next;
  }

  function latestAnswer() external view returns (uint256, bool) {
    return (price, works);
  }
}

/// Prices of Venus markets, 36 less the token's digits, with bounds that hold where they are set.
contract BoundedPrices {
  bool public constant isPriceOracle = true;
  mapping(address => uint256) public getUnderlyingPrice;
  mapping(address => uint256) public lowest;
  mapping(address => uint256) public highest;

  function set(address market, uint256 price) external {
    getUnderlyingPrice[market] = price;
  }

  function bound(address market, uint256 low, uint256 high) external {
    (lowest[market], highest[market]) = (low, high);
  }

  function getBoundedPricesView(address market) public view returns (uint256 low, uint256 high) {
    low = high = getUnderlyingPrice[market];
    if (lowest[market] != 0 && lowest[market] < low) low = lowest[market];
    if (highest[market] > high) high = highest[market];
  }

  function getBoundedCollateralPriceView(address market) external view returns (uint256 low) {
    (low, ) = getBoundedPricesView(market);
  }

  function getBoundedDebtPriceView(address market) external view returns (uint256 high) {
    (, high) = getBoundedPricesView(market);
  }

  function updateProtectionState(address) external {}

  /// A price that holds once somebody asks for it to be renewed.
  mapping(address => uint256) public next;

  function propose(address market, uint256 price) external {
    next[market] = price;
  }

  function updatePrice(address market) external {
    if (next[market] != 0) (getUnderlyingPrice[market], next[market]) = (next[market], 0);
  }

  function updateAssetPrice(address) external {}
}

contract Nothing {
  receive() external payable {}

  fallback(bytes calldata) external payable returns (bytes memory) {
    return new bytes(96);
  }
}
