// Constant dimension expressions, as TensorRT hands them to getOutputShapes for a network of static shapes.
#pragma once

#include <NvInfer.h>

#include <deque>

namespace bevdeploy {

class ConstantExpression final : public nvinfer1::IDimensionExpr {
 public:
  explicit ConstantExpression(int64_t value) : value_(value) { mImpl = &value_; }

 private:
  struct Value final : nvinfer1::apiv::VDimensionExpr {
    explicit Value(int64_t value) : constant(value) {}
    bool isConstant() const override { return true; }
    int64_t getConstantValue() const override { return constant; }
    bool isSizeTensor() const override { return false; }
    int64_t constant;
  };
  Value value_;
};

class ConstantExpressions final : public nvinfer1::IExprBuilder {
 public:
  ConstantExpressions() : maker_(*this) { mImpl = &maker_; }
  const nvinfer1::IDimensionExpr* made(int64_t value) { return &values_.emplace_back(value); }

 private:
  struct Maker final : nvinfer1::apiv::VExprBuilder {
    explicit Maker(ConstantExpressions& owner) : values(owner) {}
    const nvinfer1::IDimensionExpr* constant(int64_t value) override { return values.made(value); }
    const nvinfer1::IDimensionExpr* operation(nvinfer1::DimensionOperation, const nvinfer1::IDimensionExpr&,
                                              const nvinfer1::IDimensionExpr&) override {
      return nullptr;  // the node's output shape needs no arithmetic
    }
    const nvinfer1::IDimensionExpr* declareSizeTensor(int32_t, const nvinfer1::IDimensionExpr&,
                                                      const nvinfer1::IDimensionExpr&) override {
      return nullptr;
    }
    ConstantExpressions& values;
  };
  Maker maker_;
  std::deque<ConstantExpression> values_;
};

}  // namespace bevdeploy
